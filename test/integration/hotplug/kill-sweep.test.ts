import assert from 'node:assert/strict';
import { startBed } from '../../bed/bed.js';
import { sample } from '../../bed/effort.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { killsAt, type Scenario, Sweep } from './kill-sweep.js';

/** The number of kills in flight at a time. */
const LANES = 2;

const SCENARIOS: readonly Scenario[] = [
  { title: 'a file', params: (image) => image, needsRemove: false },
  { title: 'a block device', params: (_, device) => device, needsRemove: true },
  {
    title: 'a file with autoclear=no',
    params: (image) => `path=${image},autoclear=no`,
    needsRemove: true,
  },
];

describe('add is killed at every call that changes anything', function () {
  this.timeout(240_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    for (const scenario of SCENARIOS) {
      it(`${scenario.title}, ${guise} blkback: nothing is left, and a new add works`, async () => {
        await using bed = await startBed({ guise });
        await using store = await openStore(bed);
        const sweep = new Sweep(bed, store, scenario);
        const calls = await sweep.countCalls();
        assert.ok(
          calls.some((call) => call.endsWith('ioctl 4c0a')) || scenario.title.includes('block'),
        );
        // The number of kills is odd, so that some come before calls and some after.
        const kills = sample(killsAt(calls, 'before', 'after'), 10);
        const lanes = Array.from({ length: LANES }, async () => {
          for (let kill = kills.shift(); kill; kill = kills.shift()) await sweep.kill(kill);
        });
        await Promise.all(lanes);
        console.log(`      ${calls.length} calls, ${sweep.killed} kills`);
        sweep.assertKilled(0.5);
      });
    }
  }
});
