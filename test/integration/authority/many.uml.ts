import assert from 'node:assert/strict';
import { needs } from '../../bed/needs.js';
import { describeBeside, measureBeside } from './beside.js';

const COUNT = Number(process.env.XEN_BLKBACK_BESIDE || 60);
const ROUNDS = 10;
const GENEROUS = 2;

describe(`An add of a mapper device beside ${COUNT} attached ones`, function () {
  this.timeout(600_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const [kind, title] of [
    ['volume', 'all on one disk'],
    ['mapper', 'each on a disk of its own'],
  ] as const) {
    it(`costs about what one beside none costs: ${title}`, async () => {
      const measured = await measureBeside(kind, { count: COUNT, rounds: ROUNDS, guise: 'stock' });
      console.log(`      ${describeBeside(measured, COUNT)}`);
      assert.ok(measured.beside.busy < measured.alone.busy * GENEROUS);
    });
  }
});
