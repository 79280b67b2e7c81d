import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isDeviceAbsent, isSystemError } from '../linux/errno.js';
import { O_NONBLOCK, O_RDONLY, OwnedFd } from '../linux/fd.js';
import { getLoopStatus, type LoopStatus } from '../linux/loop-ioctl.js';
import { readBelow } from './below.js';
import { baseKey, type Extent, overlap, windowOf } from './extent.js';
import { fileOfLoop } from './loop-backing.js';
import { type Below, followDown, type Reach } from './reach.js';
import { readPresentDiskseq, readStackedBlock, type StackedBlock } from './stacked-block.js';

/**
 * What block devices stand on, seen at one moment: what was looked up once is not looked up again.
 * To be made anew for every question.
 */
export class DeviceMap {
  readonly #blocks = new Map<string, StackedBlock | undefined>();
  readonly #diskseqs = new Map<string, bigint | undefined>();
  readonly #loops = new Map<string, Promise<LoopStatus | undefined>>();
  readonly #signal: AbortSignal | undefined;

  /** @param signal ends the looks at devices whose file or driver does not answer. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

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
    return await followDown(devnum, (device) => this.#below(device));
  }

  /** The same if it has bytes of these extents; `undefined` if it has none. */
  async reachWithin(devnum: Devnum, extents: readonly Extent[]): Promise<Reach | undefined> {
    const read = (): Promise<LoopStatus | undefined> => this.#readLoop(devnum);
    const file = await fileOfLoop(devnum, this.diskseq(devnum), read);
    if (file !== undefined && !hasBase(extents, file)) return undefined;
    const reach = await this.reach(devnum);
    return overlap(reach.extents, extents) ? reach : undefined;
  }

  async #below(devnum: Devnum): Promise<Below | undefined> {
    const block = this.block(devnum);
    return block && (await readBelow(block, (loop) => this.loop(loop), this.#signal));
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
    const signal = this.#signal;
    try {
      await using loop = await OwnedFd.open(block.path, O_RDONLY | O_NONBLOCK, { signal });
      const found = devnumFromStat(loop.inode.rdev);
      return sameDevnum(found, devnum) ? await getLoopStatus(loop, signal) : undefined;
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

/** The bytes of a file that a window of it holds. */
export function fileExtent(
  file: { readonly dev: bigint; readonly ino: bigint },
  offset: bigint,
  size: bigint | undefined,
): Extent {
  const base = { kind: 'file', device: file.dev, inode: file.ino } as const;
  return { base, ...windowOf(offset, size) };
}
