import { type Bed, startBed } from '../../bed/bed.js';
import type { BlkbackBehaviour } from '../../bed/blkback.js';
import { type Daemon, startDaemon } from '../../bed/daemon.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';

/** Runs `body` on a bed with a daemon, which gets the options, and a store client of its own. */
export async function withDaemon(
  behaviour: BlkbackBehaviour,
  body: (fixture: HotplugFixture, daemon: Daemon, bed: Bed) => Promise<void>,
  ...options: string[]
): Promise<void> {
  await using bed = await startBed(behaviour);
  await using store = await openStore(bed);
  await using daemon = await startDaemon(bed, ...options);
  await body(new HotplugFixture(bed, store), daemon, bed);
}
