import { startBed } from '../../bed/bed.js';
import type { BlkbackBehaviour } from '../../bed/blkback.js';
import { openStore } from '../../bed/store.js';
import { detachAll, HotplugFixture } from '../hotplug/fixture.js';

/**
 * Runs `body` on a bed with a store client of its own. Vbds that `body` leaves end with the bed, and
 * those with `autoclear=no` keep their loop devices, which are detached here.
 */
export async function withFixture(
  body: (fixture: HotplugFixture) => Promise<void>,
  behaviour: BlkbackBehaviour = {},
): Promise<void> {
  await using bed = await startBed(behaviour);
  await using store = await openStore(bed);
  const fixture = new HotplugFixture(bed, store);
  try {
    await body(fixture);
  } finally {
    detachAll(fixture.loops());
  }
}
