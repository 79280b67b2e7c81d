import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { startDaemon } from '../../bed/daemon.js';
import { attachLoop, makeImage } from '../../bed/images.js';
import { createMapped, linear } from '../../bed/mapper.js';
import { built } from '../../bed/paths.js';
import { busyTime } from '../../bed/process-state.js';
import { Stopwatch } from '../../bed/stopwatch.js';
import { openStore } from '../../bed/store.js';
import { createVbd, deleteVbd, type Vbd, waitInitWait } from '../../bed/toolstack.js';

/**
 * The kind of the disks: files; loop devices; mapper devices, each over a disk of its own; volumes,
 * which are mapper devices that share one disk.
 */
export type DiskKind = 'file' | 'disk' | 'mapper' | 'volume';

/** The cost of one more add; milliseconds. */
export interface Cost {
  /** The median time from exec to exit of the compiled client. */
  readonly elapsed: number;
  /** The mean processor time of all threads of the daemon, for an add and the end of its vbd. */
  readonly busy: number;
}

/** The cost beside no other disk, and beside many disks. */
export interface Beside {
  readonly alone: Cost;
  readonly beside: Cost;
}

const SIZE = 1024 * 1024;
const SECTORS = SIZE / 512;
/** The number of adds that run at a time, which shortens the preparation. */
const LANES = 8;
const WARM_UP = 5;
const LONGEST_MS = 120_000;

/** Makes a disk and returns its path. What was made is undone in the end. */
type Make = (index: number) => Promise<string>;

/** Measures adds beside no other disk, and beside `count` attached disks of the same kind. */
export async function measureBeside(
  kind: DiskKind,
  { count, rounds, guise }: { count: number; rounds: number; guise: 'stock' | 'diskseq' },
): Promise<Beside> {
  await using bed = await startBed({ guise });
  await using store = await openStore(bed);
  await using parts = new Parts();
  const make = await maker(kind, bed, count + 2 * (rounds + WARM_UP), parts);
  await using daemon = await startDaemon(bed);
  await using stopwatch = await Stopwatch.start([built('block-diskseq'), 'add'], daemon.env);
  let next = 0;
  const attach = async (): Promise<{ vbd: Vbd; milliseconds: number }> => {
    const index = next++;
    const params = await make(index);
    // The daemon does not prepare the vbd of a script with this name, so the whole add is measured.
    const script = 'another';
    const vbd = await createVbd(store, { frontend: 1 + index, devid: 51712, params, script });
    await waitInitWait(store, vbd, LONGEST_MS);
    const { status, start, end } = await stopwatch.run(vbd.backendPath, LONGEST_MS);
    if (status !== 0)
      throw new Error(`the add of ${params} ended with ${status}; ${daemon.said()}`);
    return { vbd, milliseconds: end - start };
  };
  const measure = async (): Promise<Cost> => {
    const times: number[] = [];
    let before = 0;
    for (let round = 0; round < WARM_UP + rounds; round++) {
      if (round === WARM_UP) before = busyTime(daemon.child.pid);
      const { vbd, milliseconds } = await attach();
      times.push(milliseconds);
      await drop(bed, store, vbd);
    }
    const busy = (busyTime(daemon.child.pid) - before) / rounds;
    return { elapsed: median(times.slice(WARM_UP)), busy };
  };
  const alone = await measure();
  const others = await attachMany(count, attach);
  const beside = await measure();
  for (const vbd of others) await drop(bed, store, vbd);
  return { alone, beside };
}

async function attachMany(count: number, attach: () => Promise<{ vbd: Vbd }>): Promise<Vbd[]> {
  const vbds: Vbd[] = [];
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) vbds.push((await attach()).vbd);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return vbds;
}

async function drop({ blkback }: Bed, store: Xenstore, vbd: Vbd): Promise<void> {
  await deleteVbd(store, vbd);
  await blkback.waitFor(({ event, vbd: key }) => event === 'closed' && key === vbd.key, LONGEST_MS);
}

async function maker(kind: DiskKind, bed: Bed, all: number, parts: Parts): Promise<Make> {
  // The disks lie outside the bed's own directory of images, because no loop device over a file in
  // that directory may be left when the bed ends.
  const directory = join(bed.directory, 'disks');
  mkdirSync(directory);
  const image = (index: number, size = SIZE): string =>
    makeImage(directory, { marker: `disk ${index}`, size });
  const loop = async (index: number, size?: number): Promise<string> =>
    parts.use(await attachLoop(image(index, size))).path;
  const mapper = async (index: number, device: string, start: number): Promise<string> =>
    parts.use(await createMapped(`beside-${index}`, linear(device, SECTORS, start))).kernelPath;
  switch (kind) {
    case 'file':
      return async (index) => image(index);
    case 'disk':
      return loop;
    case 'mapper':
      return async (index) => await mapper(index, await loop(index), 0);
    case 'volume': {
      const group = await loop(0, all * SIZE);
      return async (index) => await mapper(index, group, index * SECTORS);
    }
  }
}

/** Returns both costs as text for people. */
export function describeBeside({ alone, beside }: Beside, count: number): string {
  const compare = (one: number, other: number): string =>
    `${one.toFixed(2)} ms beside none, ${other.toFixed(2)} ms beside ${count}: ${(other / one).toFixed(2)} times`;
  return `${compare(alone.elapsed, beside.elapsed)} (the daemon is busy for ${compare(alone.busy, beside.busy)})`;
}

/** The devices that were made for the disks. They are released in reverse order. */
class Parts implements AsyncDisposable {
  readonly #parts: AsyncDisposable[] = [];

  use<T extends AsyncDisposable>(part: T): T {
    this.#parts.push(part);
    return part;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.#parts.reverse()) await part[Symbol.asyncDispose]();
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
