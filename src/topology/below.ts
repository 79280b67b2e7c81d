import { type Devnum, devnumFromStat } from '../linux/devnum.js';
import type { LoopStatus } from '../linux/loop-ioctl.js';
import { hiddenSegments, readMapperSegments } from './mapper-segments.js';
import type { Segment } from './mapper-targets.js';
import { mayBeOverlay, realFileOf } from './overlay.js';
import type { Below } from './reach.js';
import type { StackedBlock } from './stacked-block.js';

const NOTHING: Below = { segments: [], unclaimed: [] };
/** All bytes of a device, in their order. */
const ALL = { at: 0n, length: undefined, endless: true, start: 0n } as const;

/**
 * Reads what lies directly below a device. Calls `readLoop` for the status of a loop device. Throws
 * `SystemError`, and as `readLoop` does.
 */
export async function readBelow(
  block: StackedBlock,
  readLoop: (devnum: Devnum) => Promise<LoopStatus | undefined>,
  signal?: AbortSignal,
): Promise<Below> {
  const { devnum, kind, partition } = block;
  if (partition !== undefined) {
    const { disk, start, size } = partition;
    // Claims of a disk and of its partition exclude each other, so it is enough to look for one.
    return { segments: [{ at: 0n, start, length: size, lower: disk }], unclaimed: [] };
  }
  if (kind === 'loop') return await withRealFile(block, belowLoop(await readLoop(devnum)));
  const mapped = kind === 'mapper' ? await mappedSegments(block, signal) : undefined;
  return belowDisk(block, mapped);
}

/**
 * Reads what the live table of a mapper device says; `undefined` where there is no live table.
 * Throws `SystemError`.
 */
export async function mappedSegments(
  block: StackedBlock,
  signal?: AbortSignal,
): Promise<readonly Segment[] | undefined> {
  return await readMapperSegments(block.devnum, () => block.slaves, signal);
}

/**
 * Returns what lies below a disk that has claimed the devices it stands on. A disk that stands on
 * nothing has its own bytes. md, bcache and DRBD do not tell which bytes are where.
 *
 * @param mapped the segments of the live table, for a mapper device that has one.
 */
export function belowDisk(block: StackedBlock, mapped: readonly Segment[] | undefined): Below {
  const { devnum, slaves } = block;
  // A table that is only loaded claims its devices too, but says nothing about the bytes.
  const segments = mapped ?? (slaves.length > 0 ? hiddenSegments(devnum, ALL, slaves) : []);
  if (segments.length > 0) return { segments, unclaimed: [] };
  const storage = { kind: 'disk', devnum, wwid: block.wwid } as const;
  return { segments: [{ ...ALL, storage }], unclaimed: [] };
}

/** Adds the real file, if the loop driver has opened its file through an overlay. */
export async function withRealFile(block: StackedBlock, below: Below): Promise<Below> {
  const [file] = below.segments;
  if (file === undefined || !('storage' in file) || file.storage.kind !== 'file') return below;
  if (!mayBeOverlay(file.storage.device)) return below;
  const real = await realFileOf(block.backingFile);
  return real === undefined ? below : { ...below, segments: [file, { ...file, ...real }] };
}

/** Returns what lies below a loop device; nothing where the loop device is not bound. Pure. */
export function belowLoop(status: LoopStatus | undefined): Below {
  if (status === undefined) return NOTHING;
  const { device, inode, rdevice, offset: start, sizeLimit } = status;
  const place = sizeLimit === 0n ? { ...ALL, start } : { at: 0n, length: sizeLimit, start };
  if (rdevice === 0n) {
    return { segments: [{ ...place, storage: { kind: 'file', device, inode } }], unclaimed: [] };
  }
  // The loop driver does not claim the device that it stands on.
  const lower = devnumFromStat(rdevice);
  return { segments: [{ ...place, lower }], unclaimed: [lower] };
}
