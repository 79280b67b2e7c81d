import { type Devnum, devnumFromStat } from '../linux/devnum.js';
import type { LoopStatus } from '../linux/loop-ioctl.js';
import { readMapperSegments } from './mapper-segments.js';
import type { Below } from './reach.js';
import type { StackedBlock } from './stacked-block.js';

const NOTHING: Below = { segments: [], unclaimed: [] };
/** All bytes of a device, in their order. */
const ALL = { at: 0n, length: undefined, endless: true, start: 0n } as const;
/** All of a device, in no order that is known. */
const ANYWHERE = { at: 0n, length: undefined, start: 0n };

/**
 * Reads what lies directly below a device. `readLoop` is asked about a loop device. Throws
 * `SystemError`.
 */
export async function readBelow(
  block: StackedBlock,
  readLoop: (devnum: Devnum) => Promise<LoopStatus | undefined>,
): Promise<Below> {
  const { devnum, kind, partition } = block;
  if (partition !== undefined) {
    const { disk, start, size } = partition;
    // A claim of the disk and one of its partition exclude each other: one of them is enough.
    return { segments: [{ at: 0n, start, length: size, lower: disk }], unclaimed: [] };
  }
  if (kind === 'loop') return belowLoop(await readLoop(devnum));
  const mapped = kind === 'mapper' ? await readMapperSegments(devnum) : undefined;
  const segments = mapped ?? block.slaves.map((lower) => ({ ...ANYWHERE, lower }));
  return segments.length > 0 ? { segments, unclaimed: [] } : ownBytes(devnum);
}

/** A device that stands on nothing. */
function ownBytes(devnum: Devnum): Below {
  return { segments: [{ ...ALL, base: { kind: 'disk', devnum } }], unclaimed: [] };
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
