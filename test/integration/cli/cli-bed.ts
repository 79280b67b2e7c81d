import { startBed } from '../../bed/bed.js';
import type { BlkbackBehaviour } from '../../bed/blkback.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';

/** Runs `body` on a bed with a store client of its own. */
export async function withFixture(
  body: (fixture: HotplugFixture) => Promise<void>,
  behaviour: BlkbackBehaviour = {},
): Promise<void> {
  await using bed = await startBed(behaviour);
  await using store = await openStore(bed);
  await body(new HotplugFixture(bed, store));
}
