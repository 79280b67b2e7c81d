import assert from 'node:assert/strict';
import { startBed } from '../../bed/bed.js';
import { needsFullEffort, sample } from '../../bed/effort.js';
import { mappedNames } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { killsAt, type Scenario, Sweep } from '../hotplug/kill-sweep.js';

const layersLeft = async (frontend: number): Promise<string[]> =>
  (await mappedNames()).filter((name) => name.startsWith(`xenvbd-${frontend}-`));

/**
 * If the maker of a layer is killed before anything has opened the layer, `remove` removes the
 * layer.
 */
const SCENARIOS: readonly Scenario[] = [
  {
    title: 'layer=crypt over a file',
    params: (image) => `path=${image},layer=crypt`,
    needsRemove: true,
    left: layersLeft,
  },
  {
    title: 'layer=linear over a block device',
    params: (_, device) => `path=${device},layer=linear`,
    needsRemove: true,
    left: layersLeft,
  },
];

describe('add with a layer is killed at every call that changes a device', function () {
  // With the adds of another guest after each kill, one kill takes up to 10 s on a busy machine.
  this.timeout(600_000);
  before(function () {
    needsFullEffort(this);
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const [index, scenario] of SCENARIOS.entries()) {
    const guise = index === 0 ? 'diskseq' : 'stock';
    it(`${scenario.title}, ${guise} blkback: nothing is left, and a new add works`, async () => {
      await using bed = await startBed({ guise, closeDelayMs: 0 });
      await using store = await openStore(bed);
      const sweep = new Sweep(bed, store, scenario);
      const calls = await sweep.countCalls();
      // The moment after one device call is also the moment before the next one. Of the many writes
      // to XenStore some are enough here, because the sweeps without a layer stop at each of them.
      const all = killsAt(calls, 'after').filter(
        ({ what }, at) => /ioctl|block/.test(what) || at % 8 === 0,
      );
      const kills = sample(all, 3);
      const made = calls.flatMap((call) => /^ioctl c138fd(..)$/.exec(call)?.[1] ?? []);
      assert.deepEqual(made, ['03', '09', '04', '06'], 'made, loaded, marked, resumed');
      for (const kill of kills) await sweep.kill(kill);
      console.log(`      ${calls.length} calls, ${sweep.killed} kills`);
      sweep.assertKilled(0.8);
    });
  }
});
