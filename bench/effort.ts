import { startBed } from '../test/bed/bed.js';
import { startDaemon } from '../test/bed/daemon.js';
import { makeImage } from '../test/bed/images.js';
import { built } from '../test/bed/paths.js';
import { busyTime } from '../test/bed/process-state.js';
import { Stopwatch } from '../test/bed/stopwatch.js';
import { openStore } from '../test/bed/store.js';
import { createVbd, deleteVbd, waitInitWait } from '../test/bed/toolstack.js';
import { startXenstoreProxy } from '../test/bed/xenstore-proxy.js';
import type { BenchFixture } from './fixture.js';

/** The effort, besides time, of one attach and one detach of a vbd through the daemon. */
export interface Effort {
  readonly vbds: number;
  /** The processor time of all threads of the daemon, and of xenstored; milliseconds per vbd. */
  readonly daemon: number;
  readonly xenstored: number;
  /** How often the daemon waits for xenstored in an attach that it did not begin in advance. */
  readonly trips: number;
}

const WARM_UP = 20;
const ROUNDS = 5;

/** Measures the effort of `vbds` attaches and detaches through the daemon. */
export async function measureEffort(fixture: BenchFixture, vbds: number): Promise<Effort> {
  const { daemon, bed } = fixture;
  const cycle = async (): Promise<void> => fixture.detach(await fixture.attach('daemon'));
  for (let round = 0; round < WARM_UP; round++) await cycle();
  const before = [busyTime(daemon.child.pid), busyTime(bed.xenstored.pid)] as const;
  for (let round = 0; round < vbds; round++) await cycle();
  return {
    vbds,
    daemon: (busyTime(daemon.child.pid) - before[0]) / vbds,
    xenstored: (busyTime(bed.xenstored.pid) - before[1]) / vbds,
    trips: await countTrips(),
  };
}

/** Returns the smallest count of several rounds, because events of other vbds add to a count. */
async function countTrips(): Promise<number> {
  await using bed = await startBed({ guise: 'diskseq' });
  await using store = await openStore(bed);
  await using proxy = await startXenstoreProxy(bed);
  await using daemon = await startDaemon({ ...bed, env: { ...bed.env, ...proxy.env } });
  await using stopwatch = await Stopwatch.start([built('block-diskseq'), 'add'], daemon.env);
  const counts: number[] = [];
  for (let frontend = 1; frontend <= ROUNDS; frontend++) {
    const params = makeImage(bed.images, { marker: 'trips' });
    const script = 'another';
    const vbd = await createVbd(store, { frontend, devid: 51712, params, script });
    await waitInitWait(store, vbd);
    const before = proxy.trips();
    await stopwatch.run(vbd.backendPath);
    counts.push(proxy.trips() - before);
    await deleteVbd(store, vbd);
    await bed.blkback.waitFor(({ event, vbd: key }) => event === 'closed' && key === vbd.key, 5000);
  }
  return Math.min(...counts);
}
