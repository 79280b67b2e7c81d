import assert from 'node:assert/strict';
import { effort, needsFullEffort, sample } from '../../bed/effort.js';
import { needs } from '../../bed/needs.js';
import { describeBeside, measureBeside } from './beside.js';

const COUNT = effort(300, 60);
const ROUNDS = 15;
/**
 * The benchmark measures the highest cost. This test only checks that the cost does not grow with
 * the number of vbds.
 */
const GENEROUS = 2;

describe(`An add beside ${COUNT} attached vbds`, function () {
  this.timeout(180_000);
  before(function () {
    needsFullEffort(this);
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of sample(['stock', 'diskseq'] as const, 2)) {
    for (const kind of ['file', 'disk'] as const) {
      it(`costs about what one beside none costs: a ${kind} (${guise} blkback)`, async () => {
        const measured = await measureBeside(kind, { count: COUNT, rounds: ROUNDS, guise });
        console.log(`      ${describeBeside(measured, COUNT)}`);
        assert.ok(measured.beside.busy < measured.alone.busy * GENEROUS);
      });
    }
  }
});
