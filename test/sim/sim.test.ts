import assert from 'node:assert/strict';
import { effort } from '../bed/effort.js';
import { bundleEngine } from './bundle.js';
import type { Session } from './globals.js';
import { hunt } from './hunt.js';
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

/** Faults that a schedule has found, and that have been fixed. */
const FOUND = [
  { seed: 785, fault: 'a vbd is deleted while blkback is opening its disk, and its add gives up' },
  { seed: 796, fault: 'the same, where the daemon has the disk' },
];

describe('The schedule that has found it holds when', function () {
  this.timeout(0);
  for (const { seed, fault } of FOUND) {
    it(fault, async () => {
      const { violations } = await runSchedule(await bundleEngine(), seed);
      assert.deepEqual(violations, []);
    });
  }
});

describe('The simulated world finds that', function () {
  this.timeout(0);
  // Every change of the program changes the schedule that finds a mutant. By hand, only the mutants
  // that are found early are tried, and in CI all of them.
  const [latest, schedules] = [effort(Infinity, 8), effort(400, 60)];
  for (const mutant of MUTANTS.filter(({ seed }) => seed > 0 && seed <= latest)) {
    it(mutant.name, async () => {
      const found = await hunt(mutant, 1, schedules);
      assert.notEqual(found, undefined, `not in ${schedules} schedules`);
    });
  }
});
