import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { effort } from '../bed/effort.js';
import { projectRoot } from '../bed/paths.js';
import { bundleEngine } from './bundle.js';
import type { Session } from './globals.js';
import { hunt } from './hunt.js';
import { MUTANT_SEEDS } from './mutant-seeds.js';
import { MUTANTS } from './mutants.js';
import { runSchedule } from './schedule.js';

const TELLS = { tells: true };

describe('The program in a simulated world', function () {
  this.timeout(0);
  let session: Session;
  before(async () => {
    session = await bundleEngine();
  });

  it('runs one schedule the same way each time', async () => {
    const [first, second] = [
      await runSchedule(session, 7, TELLS),
      await runSchedule(session, 7, TELLS),
    ];
    assert.deepEqual(first, second);
    assert(first.events > 100);
  });

  const schedules = effort(300, 20);
  it(`holds in ${schedules} schedules`, async () => {
    for (let seed = 1; seed <= schedules; seed++) {
      const { violations } = await runSchedule(session, seed);
      assert.deepEqual(violations, [], `npm run sim -- --seed ${seed} --schedules 1`);
    }
  });
});

describe('Each mutant', () => {
  for (const { name, file, find } of MUTANTS) {
    it(`has a source to change: ${name}`, () => {
      const text = readFileSync(join(projectRoot, 'src', file), 'utf8');
      assert.equal(text.split(find).length, 2);
    });
  }
});

describe('The simulated world finds that', function () {
  this.timeout(0);
  // Which schedule finds a mutant moves with every change of the program. So others are tried as well. By
  // hand those mutants are looked for that are found early, in CI all that have been found.
  const [latest, schedules] = [effort(Infinity, 8), effort(2000, 100)];
  const isWanted = ({ name }: { readonly name: string }): boolean =>
    (MUTANT_SEEDS[name] ?? Number.NaN) <= latest;
  for (const mutant of MUTANTS.filter(isWanted)) {
    it(mutant.name, async () => {
      const known = MUTANT_SEEDS[mutant.name];
      const found = await hunt(mutant, { known, seed: 1, schedules });
      assert.notEqual(found, undefined, `not in ${schedules} schedules`);
    });
  }
});
