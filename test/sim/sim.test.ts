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

/** Faults that a schedule has found, and that were mended. */
const FOUND = [
  { seed: 785, fault: 'a vbd is deleted while blkback is opening its disk, and its add gives up' },
  { seed: 796, fault: 'the same, where the daemon has the disk' },
  { seed: 611, fault: 'a sequence number rises while blkback is about to open what is published' },
  { seed: 268, fault: 'a remove takes back what a vbd names that was made anew since' },
  {
    seed: 6490,
    fault: 'a remove takes back what a killed add has published, and blkback opens it late',
  },
  { seed: 5620, fault: 'an add adopts a loop device that its record does not name' },
  { seed: 2110, fault: 'a remove removes the record of a vbd that was made anew since' },
  { seed: 897, fault: 'an add that fails forgets a loop device that another add has adopted' },
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
  // Which schedule finds one moves with every change of the program: by hand those are tried that are found
  // early, in CI all of them.
  const [latest, schedules] = [effort(Infinity, 8), effort(400, 60)];
  for (const mutant of MUTANTS.filter(({ seed }) => seed > 0 && seed <= latest)) {
    it(mutant.name, async () => {
      const found = await hunt(mutant, 1, schedules);
      assert.notEqual(found, undefined, `not in ${schedules} schedules`);
    });
  }
});
