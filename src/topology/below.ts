import { type Devnum, devnumFromStat } from '../linux/devnum.js';
import type { LoopStatus } from '../linux/loop-ioctl.js';
import { readMapperSegments, type Segment } from './mapper-segments.js';
import type { Below } from './reach.js';
import type { StackedBlock } from './stacked-block.js';

const NOTHING: Below = { segments: [], unclaimed: [] };
/** All bytes of a device, in their order. */
const ALL = { at: 0n, length: undefined, endless: true, start: 0n } as const;

/**
 * Reads what lies directly below a device. `readLoop` is asked about a loop device. Throws
 * `SystemError`.
 */
export async function readBelow(
  block: StackedBlock,
  readLoop: (devnum: Devnum) => Promise<LoopStatus | undefined>,
  signal?: AbortSignal,
): Promise<Below> {
  const { devnum, kind, partition } = block;
  if (partition !== undefined) {
    const { disk, start, size } = partition;
    // A claim of the disk and one of its partition exclude each other: one of them is enough.
    return { segments: [{ at: 0n, start, length: size, lower: disk }], unclaimed: [] };
  }
  if (kind === 'loop') return belowLoop(await readLoop(devnum));
  const mapped = kind === 'mapper' ? await readMapperSegments(devnum, signal) : undefined;
  return belowDisk(devnum, mapped ?? block.slaves.map(anywhereOn));
}

/** What lies below a disk that has claimed what it stands on; its own bytes if it stands on nothing. Pure. */
export function belowDisk(devnum: Devnum, segments: readonly Segment[]): Below {
  if (segments.length > 0) return { segments, unclaimed: [] };
  return { segments: [{ ...ALL, base: { kind: 'disk', devnum } }], unclaimed: [] };
}

/** All of a device below, in no order that is known. */
export function anywhereOn(lower: Devnum): Segment {
  return { at: 0n, length: undefined, start: 0n, lower };
}

/** What lies below a loop device; nothing where it is not bound. Pure. */
export function belowLoop(status: LoopStatus | undefined): Below {
  if (status === undefined) return NOTHING;
  const { device, inode, rdevice, offset: start, sizeLimit } = status;
  const place = sizeLimit === 0n ? { ...ALL, start } : { at: 0n, length: sizeLimit, start };
  if (rdevice === 0n) {
    return { segments: [{ ...place, base: { kind: 'file', device, inode } }], unclaimed: [] };
  }
  // The loop driver claims nothing of what it stands on.
  const lower = devnumFromStat(rdevice);
  return { segments: [{ ...place, lower }], unclaimed: [lower] };
}
