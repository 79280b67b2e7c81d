import { openDeviceNode } from '../block/device-node.js';
import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isDeviceAbsent, isSystemError, SystemError } from '../linux/errno.js';
import { O_NONBLOCK, O_RDONLY } from '../linux/fd.js';
import { getLoopStatus, type LoopStatus } from '../linux/loop-ioctl.js';
import { pause } from '../util/retry.js';
import { askLoop, UnansweredLoop } from './ask-loop.js';
import { readBelow } from './below.js';
import { baseKey, type Extent, overlap, windowOf } from './extent.js';
import { expectSilence, explainUnanswered, liesElsewhere } from './lies-elsewhere.js';
import { fileOfLoop } from './loop-backing.js';
import { type Below, followDown, type Reach } from './reach.js';
import { readPresentDiskseq, readStackedBlock, type StackedBlock } from './stacked-block.js';

/** A loop device that does not answer, and stands on other bytes. */
const ELSEWHERE = Symbol('elsewhere');
/** How often it is asked again, and how long after, in the mean; milliseconds. */
const TRIES = 10;
const PAUSE_MS = 150;
/** A loop device answers within microseconds; milliseconds. */
const SLOW_MS = 150;

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

  /**
   * Follows a device down to files and disks. Throws `SystemError`, not for one that is gone;
   * `UnansweredLoop`.
   */
  async reach(devnum: Devnum): Promise<Reach> {
    return await followDown(devnum, (device) => this.#below(device, undefined));
  }

  /**
   * The same if it has bytes of these extents; `undefined` if it has none. A loop device that does not
   * answer has none if its file certainly lies elsewhere; else it throws `UnansweredLoop`.
   */
  async reachWithin(devnum: Devnum, extents: readonly Extent[]): Promise<Reach | undefined> {
    const read = (): Promise<LoopStatus | undefined> => this.#readLoop(devnum);
    const ask = (): Promise<string | undefined> => fileOfLoop(devnum, this.diskseq(devnum), read);
    const file = await this.#askBeside(extents, ask);
    if (file === ELSEWHERE || (file !== undefined && !hasBase(extents, file))) return undefined;
    const reach = await followDown(devnum, (device) => this.#below(device, extents));
    return overlap(reach.extents, extents) ? reach : undefined;
  }

  async #below(devnum: Devnum, wanted: readonly Extent[] | undefined): Promise<Below | undefined> {
    const block = this.block(devnum);
    const readLoop = (loop: Devnum): Promise<LoopStatus | undefined> =>
      wanted === undefined ? this.loop(loop) : this.#loopBeside(loop, wanted);
    return block && (await readBelow(block, readLoop, this.#signal));
  }

  /** As `loop`, without those that do not answer and have none of the wanted bytes. */
  async #loopBeside(devnum: Devnum, wanted: readonly Extent[]): Promise<LoopStatus | undefined> {
    const status = await this.#askBeside(wanted, () => this.loop(devnum));
    return status === ELSEWHERE ? undefined : status;
  }

  /**
   * Asks a loop device that may not answer; `ELSEWHERE` for one that does not, and has none of the wanted
   * bytes. One of which that cannot be told is asked again for a moment: its server may be coming back.
   */
  async #askBeside<T>(
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
   * What a loop device stands on; `undefined` where it is not bound any more. Throws `UnansweredLoop`
   * where its file does not answer.
   */
  loop(devnum: Devnum): Promise<LoopStatus | undefined> {
    const key = formatDevnum(devnum);
    const known = this.#loops.get(key);
    if (known !== undefined) return known;
    const status = this.#readLoop(devnum);
    this.#loops.set(key, status);
    // It may answer the next time.
    status.catch(() => this.#loops.delete(key));
    return status;
  }

  async #readLoop(devnum: Devnum): Promise<LoopStatus | undefined> {
    const block = this.block(devnum);
    const number = /^\/dev\/loop(\d+)$/.exec(block?.path ?? '')?.[1];
    if (block === undefined || number === undefined) return undefined;
    this.#signal?.throwIfAborted();
    // If it is the file server that is slow, that is to be known at the same time.
    const timer = setTimeout(() => expectSilence(Number(number)), SLOW_MS);
    const { rdev, result } = await askLoop(Number(number)).finally(() => clearTimeout(timer));
    if (result instanceof SystemError) {
      const hidden =
        isSystemError(result, 'ENOENT') && readPresentDiskseq(devnum) === block.diskseq;
      if (hidden) return await this.#readHiddenLoop(block);
      if (isDeviceAbsent(result)) return undefined;
      if (result.syscall !== 'LOOP_GET_STATUS64') throw result;
      throw new UnansweredLoop(Number(number), result.message, result.code);
    }
    return sameDevnum(devnumFromStat(rdev), devnum) ? result : undefined;
  }

  /** /dev has no node of it, as in a container: one is made for the question. */
  async #readHiddenLoop({ path, devnum }: StackedBlock): Promise<LoopStatus | undefined> {
    const flags = O_RDONLY | O_NONBLOCK;
    await using loop = await openDeviceNode(path, devnum, flags, this.#signal);
    try {
      return await getLoopStatus(loop, this.#signal);
    } catch (error) {
      if (isDeviceAbsent(error)) return undefined;
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
