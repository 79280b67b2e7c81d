import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isDeviceAbsent, isSystemError } from '../linux/errno.js';
import { O_NONBLOCK, O_RDONLY, OwnedFd } from '../linux/fd.js';
import { getLoopStatus, type LoopStatus } from '../linux/loop-ioctl.js';
import {
  type Base,
  baseKey,
  type Extent,
  intersect,
  isEmpty,
  overlap,
  project,
  WHOLE,
  type Window,
  windowOf,
} from './extent.js';
import { fileOfLoop } from './loop-backing.js';
import { readMapperSegments, type Segment } from './mapper-segments.js';
import { readPresentDiskseq, readStackedBlock, type StackedBlock } from './stacked-block.js';

/** What lies under a device. */
export interface Reach {
  /** The bytes at the bottom; none for a device that has none, or is gone. */
  readonly extents: readonly Extent[];
  /** Every device on the way down, the device itself included, as `major:minor`. */
  readonly stack: ReadonlySet<string>;
  /** Those of them whose claim is still to be had: nobody in this stack has claimed them. */
  readonly unclaimed: readonly Devnum[];
}

/** The kernel allows far fewer; this ends what a device that changes meanwhile might begin. */
const DEEPEST = 32;

/**
 * What block devices stand on, seen at one moment: what was looked up once is not looked up again.
 * To be made anew for every question.
 */
export class DeviceMap {
  readonly #blocks = new Map<string, StackedBlock | undefined>();
  readonly #diskseqs = new Map<string, bigint | undefined>();
  readonly #loops = new Map<string, Promise<LoopStatus | undefined>>();

  /** Tells what is known of a loop device already, from a descriptor that holds it. */
  learn(devnum: Devnum, status: LoopStatus): void {
    this.#loops.set(formatDevnum(devnum), Promise.resolve(status));
  }

  block(devnum: Devnum): StackedBlock | undefined {
    const key = formatDevnum(devnum);
    if (!this.#blocks.has(key)) this.#blocks.set(key, readStackedBlock(devnum));
    return this.#blocks.get(key);
  }

  /** The sequence number of a device's disk, as cheaply as it can be had. */
  diskseq(devnum: Devnum): bigint | undefined {
    const key = formatDevnum(devnum);
    if (!this.#diskseqs.has(key)) this.#diskseqs.set(key, readPresentDiskseq(devnum));
    return this.#diskseqs.get(key);
  }

  /** Follows a device down to files and disks. Throws `SystemError`, not for one that is gone. */
  async reach(devnum: Devnum): Promise<Reach> {
    const found = { extents: [] as Extent[], stack: new Set<string>(), unclaimed: [devnum] };
    await this.#descend(devnum, WHOLE, found, 0);
    return found;
  }

  /** The same if it has bytes of these extents; `undefined` if it has none. */
  async reachWithin(devnum: Devnum, extents: readonly Extent[]): Promise<Reach | undefined> {
    const read = (): Promise<LoopStatus | undefined> => this.#readLoop(devnum);
    const file = await fileOfLoop(devnum, this.diskseq(devnum), read);
    if (file !== undefined && !hasBase(extents, file)) return undefined;
    const reach = await this.reach(devnum);
    return overlap(reach.extents, extents) ? reach : undefined;
  }

  async #descend(
    devnum: Devnum,
    window: Window,
    found: { extents: Extent[]; stack: Set<string>; unclaimed: Devnum[] },
    depth: number,
  ): Promise<void> {
    const block = this.block(devnum);
    if (block === undefined || isEmpty(window) || depth > DEEPEST) return;
    found.stack.add(formatDevnum(devnum));
    if (block.partition !== undefined) {
      const { disk, start, size } = block.partition;
      // A claim of the disk and one of its partition exclude each other: one of them is enough.
      const below = project(window, { at: 0n, start, length: size });
      return await this.#descend(disk, below, found, depth + 1);
    }
    if (block.kind === 'loop') return await this.#descendLoop(block, window, found, depth);
    const segments = await this.#segments(block);
    if (segments.length === 0) {
      found.extents.push({ base: { kind: 'disk', devnum }, ...window });
    }
    for (const segment of segments) {
      if ('base' in segment) {
        const part = project(window, { ...segment, start: segment.at });
        found.extents.push({ base: segment.base, ...part });
        continue;
      }
      const below = projectSegment(window, segment);
      await this.#descend(segment.lower, below, found, depth + 1);
    }
  }

  async #descendLoop(
    block: StackedBlock,
    window: Window,
    found: { extents: Extent[]; stack: Set<string>; unclaimed: Devnum[] },
    depth: number,
  ): Promise<void> {
    const status = await this.loop(block.devnum);
    if (status === undefined) return;
    const below = project(window, { at: 0n, ...loopWindow(status) });
    if (status.rdevice === 0n) {
      const base = { kind: 'file', device: status.device, inode: status.inode } as const;
      found.extents.push({ base, ...below });
      return;
    }
    // The loop driver claims nothing of what it stands on.
    const lower = devnumFromStat(status.rdevice);
    found.unclaimed.push(lower);
    await this.#descend(lower, below, found, depth + 1);
  }

  async #segments({ kind, devnum, slaves }: StackedBlock): Promise<readonly Segment[]> {
    const mapped = kind === 'mapper' ? await readMapperSegments(devnum) : undefined;
    const anywhere = { at: 0n, length: undefined, start: 0n };
    return mapped ?? slaves.map((lower) => ({ ...anywhere, lower }));
  }

  /** What a loop device stands on; `undefined` where it is not bound any more. */
  loop(devnum: Devnum): Promise<LoopStatus | undefined> {
    const key = formatDevnum(devnum);
    const known = this.#loops.get(key);
    if (known !== undefined) return known;
    const status = this.#readLoop(devnum);
    this.#loops.set(key, status);
    return status;
  }

  async #readLoop(devnum: Devnum): Promise<LoopStatus | undefined> {
    const block = this.block(devnum);
    if (block === undefined) return undefined;
    try {
      await using loop = await OwnedFd.open(block.path, O_RDONLY | O_NONBLOCK);
      const found = devnumFromStat(loop.statSync().rdev);
      return sameDevnum(found, devnum) ? await getLoopStatus(loop) : undefined;
    } catch (error) {
      // Without a node for a device that there is nothing can be said of it, and that is no answer.
      const hidden = isSystemError(error, 'ENOENT') && readPresentDiskseq(devnum) === block.diskseq;
      if (isDeviceAbsent(error) && !hidden) return undefined;
      throw error;
    }
  }
}

/** Whether some of the extents lie on the base of this key. */
export function hasBase(extents: readonly Extent[], key: string): boolean {
  return extents.some(({ base }) => baseKey(base) === key);
}

/** Where a window lies below; all of the spread, where that is all that is known. */
function projectSegment(window: Window, segment: Exclude<Segment, { base: Base }>): Window {
  const { at, length, start, spread } = segment;
  if (length === undefined) return WHOLE;
  if (spread === undefined) return project(window, { at, start, length });
  const part = intersect(window, windowOf(at, length));
  return isEmpty(part) ? part : windowOf(start, spread);
}

function loopWindow({ offset, sizeLimit }: LoopStatus): {
  start: bigint;
  length: bigint | undefined;
} {
  return { start: offset, length: sizeLimit === 0n ? undefined : sizeLimit };
}

/** The bytes of a file that a window of it holds. */
export function fileExtent(
  file: { readonly dev: bigint; readonly ino: bigint },
  offset: bigint,
  size: bigint | undefined,
): Extent {
  const base = { kind: 'file', device: file.dev, inode: file.ino } as const;
  return { base, ...windowOf(offset, size) };
}
