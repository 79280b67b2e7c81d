import { openDeviceNode } from '../block/device-node.js';
import { readMapper } from '../linux/device-mapper.js';
import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isDeviceAbsent, isSystemError, SystemError } from '../linux/errno.js';
import { O_NONBLOCK, O_RDONLY } from '../linux/fd.js';
import { getLoopStatus, type LoopStatus } from '../linux/loop-ioctl.js';
import type { MapperState } from '../linux/mapper-state.js';
import { pause } from '../util/retry.js';
import { askLoop, UnansweredLoop } from './ask-loop.js';
import { readBelow } from './below.js';
import { type Extent, overlap, storageKey, windowOf } from './extent.js';
import { beginAskingMount, explainUnanswered, liesElsewhere } from './lies-elsewhere.js';
import { fileOfLoop } from './loop-backing.js';
import { type Below, followDown, type Reach } from './reach.js';
import {
  isPresent,
  readPresentDiskseq,
  readStackedBlock,
  type StackedBlock,
} from './stacked-block.js';

/** Stands for a loop device that does not answer and that stands on other bytes. */
const ELSEWHERE = Symbol('elsewhere');
/**
 * How often a loop device that does not answer is asked again, and the mean pause before each
 * question; milliseconds.
 */
const TRIES = 10;
const PAUSE_MS = 150;
/**
 * A loop device, which usually answers within microseconds, is slow after this time; milliseconds.
 */
const SLOW_MS = 150;

/**
 * What block devices stand on at one moment. A snapshot looks up each device only once, so every
 * question needs a new snapshot.
 */
export class StorageSnapshot {
  readonly #blocks = new Map<string, StackedBlock | undefined>();
  readonly #diskseqs = new Map<string, bigint | undefined>();
  readonly #loops = new Map<string, Promise<LoopStatus | undefined>>();
  readonly #signal: AbortSignal | undefined;

  /** @param signal ends the questions to devices whose file or driver does not answer. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Enters the status of a loop device, which is known from a descriptor that holds it open. */
  learn(devnum: Devnum, status: LoopStatus): void {
    this.#loops.set(formatDevnum(devnum), Promise.resolve(status));
  }

  /** Returns a device; `undefined` where the kernel has none with this number. */
  block(devnum: Devnum): StackedBlock | undefined {
    const key = formatDevnum(devnum);
    if (!this.#blocks.has(key)) this.#blocks.set(key, readStackedBlock(devnum));
    return this.#blocks.get(key);
  }

  /** Returns the diskseq of a device's disk, at the lowest possible cost. */
  diskseq(devnum: Devnum): bigint | undefined {
    const key = formatDevnum(devnum);
    if (!this.#diskseqs.has(key)) this.#diskseqs.set(key, readPresentDiskseq(devnum));
    return this.#diskseqs.get(key);
  }

  /**
   * Reads the present state of a mapper device, as `readMapper` does. Device-mapper may not answer
   * before the signal ends the question.
   */
  mapper(devnum: Devnum): Promise<MapperState | undefined> {
    return readMapper({ devnum }, this.#signal);
  }

  /**
   * Follows a device down to files and disks. A device that is gone reaches nothing. Throws
   * `SystemError`, `UnansweredLoop`.
   */
  async reach(devnum: Devnum): Promise<Reach> {
    return await followDown(devnum, (device) => this.#below(device, undefined));
  }

  /**
   * Follows a device down like `reach`, if it has bytes of these extents. Returns `undefined` if it
   * has none.
   *
   * A loop device that does not answer has none if its file certainly lies elsewhere. Throws
   * `UnansweredLoop` if this is not certain.
   */
  async reachWithin(devnum: Devnum, extents: readonly Extent[]): Promise<Reach | undefined> {
    const read = (): Promise<LoopStatus | undefined> => this.#readLoop(devnum);
    const ask = (): Promise<string | undefined> => fileOfLoop(devnum, this.diskseq(devnum), read);
    const file = await this.#askUnlessElsewhere(extents, ask);
    if (file === ELSEWHERE || (file !== undefined && !hasStorage(extents, file))) return undefined;
    const reach = await followDown(devnum, (device) => this.#below(device, extents));
    return overlap(reach.extents, extents) ? reach : undefined;
  }

  async #below(devnum: Devnum, wanted: readonly Extent[] | undefined): Promise<Below | undefined> {
    const block = this.block(devnum);
    const readLoop = (loop: Devnum): Promise<LoopStatus | undefined> =>
      wanted === undefined ? this.loop(loop) : this.#loopUnlessElsewhere(loop, wanted);
    return block && (await readBelow(block, readLoop, this.#signal));
  }

  /**
   * Reads a loop device as `loop` does, but returns `undefined` for a loop device that does not
   * answer and has none of the wanted bytes.
   */
  async #loopUnlessElsewhere(
    devnum: Devnum,
    wanted: readonly Extent[],
  ): Promise<LoopStatus | undefined> {
    const status = await this.#askUnlessElsewhere(wanted, () => this.loop(devnum));
    return status === ELSEWHERE ? undefined : status;
  }

  /**
   * Asks a loop device that may not answer. Returns `ELSEWHERE` for a loop device that does not
   * answer and has none of the wanted bytes.
   *
   * If nothing tells where the bytes of the loop device are, asks again for a moment: its server
   * may be coming back.
   */
  async #askUnlessElsewhere<T>(
    wanted: readonly Extent[],
    ask: () => Promise<T>,
  ): Promise<T | typeof ELSEWHERE> {
    for (let left = TRIES; ; left--) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof UnansweredLoop)) throw error;
        if (await liesElsewhere(error, wanted)) return ELSEWHERE;
        if (left === 0) throw await explainUnanswered(error);
        await pause(PAUSE_MS * (0.5 + Math.random()), this.#signal);
      }
    }
  }

  /**
   * Returns what a loop device stands on; `undefined` where it is not bound any more. Throws
   * `UnansweredLoop` where its file does not answer.
   */
  loop(devnum: Devnum): Promise<LoopStatus | undefined> {
    const key = formatDevnum(devnum);
    const known = this.#loops.get(key);
    if (known !== undefined) return known;
    const status = this.#readLoop(devnum);
    this.#loops.set(key, status);
    // The loop device may answer the next time.
    status.catch(() => this.#loops.delete(key));
    return status;
  }

  async #readLoop(devnum: Devnum): Promise<LoopStatus | undefined> {
    const block = this.block(devnum);
    const number = /^\/dev\/loop(\d+)$/.exec(block?.path ?? '')?.[1];
    if (block === undefined || number === undefined) return undefined;
    this.#signal?.throwIfAborted();
    // The cause may be a slow file server. Whether that server answers is found out meanwhile.
    const timer = setTimeout(() => beginAskingMount(Number(number)), SLOW_MS);
    const { rdev, result } = await askLoop(Number(number)).finally(() => clearTimeout(timer));
    if (result instanceof SystemError) {
      const hidden = isSystemError(result, 'ENOENT') && isPresent(devnum);
      if (hidden) return await this.#readHiddenLoop(block);
      if (isDeviceAbsent(result)) return undefined;
      if (result.syscall !== 'LOOP_GET_STATUS64') throw result;
      throw new UnansweredLoop(Number(number), result.message, result.code);
    }
    return sameDevnum(devnumFromStat(rdev), devnum) ? result : undefined;
  }

  /**
   * Asks a loop device that has no node in /dev, as in a container. Makes a node for this question.
   */
  async #readHiddenLoop({ path, devnum }: StackedBlock): Promise<LoopStatus | undefined> {
    const flags = O_RDONLY | O_NONBLOCK;
    try {
      await using loop = await openDeviceNode(path, devnum, flags, this.#signal);
      return await getLoopStatus(loop, this.#signal);
    } catch (error) {
      // The loop device has been removed (open(2)), or is not bound.
      if (isSystemError(error, 'ENXIO', 'ENODEV')) return undefined;
      throw error;
    }
  }
}

/** Returns whether some of the extents lie in the storage with this key. */
export function hasStorage(extents: readonly Extent[], key: string): boolean {
  return extents.some(({ storage }) => storageKey(storage) === key);
}

/** Returns the bytes of a file that lie in a window: `size` bytes from `offset` on. */
export function fileExtent(
  file: { readonly dev: bigint; readonly ino: bigint },
  offset: bigint,
  size: bigint | undefined,
): Extent {
  const storage = { kind: 'file', device: file.dev, inode: file.ino } as const;
  return { storage, ...windowOf(offset, size) };
}
