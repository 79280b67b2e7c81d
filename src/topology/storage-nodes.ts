import { type Devnum, devnumKey } from '../linux/devnum.js';
import { isDeviceAbsent } from '../linux/errno.js';
import { LO_FLAGS_READ_ONLY, type LoopStatus } from '../linux/loop-ioctl.js';
import type { Uevent } from '../linux/uevents.js';
import { belowLoop, readBelow } from './below.js';
import { DeviceMap } from './device-map.js';
import { tellsLoopsApartHere } from './loop-backing.js';
import { readMapperSegments, type Segment } from './mapper-segments.js';
import type { Below } from './reach.js';
import { isPresent, readPresentDiskseq, readSlaves, type StackedBlock } from './stacked-block.js';

/** What is known of a device: what lies directly below it, and how one notices that this has changed. */
interface Node {
  readonly devnum: Devnum;
  readonly below: Below | undefined;
  /** `below` as text, to compare it. */
  readonly text: string;
  /**
   * Looks whether it still holds, at once and cheaply, where no event tells; `undefined` where every
   * change is told.
   */
  readonly holds: (() => boolean) | undefined;
}

/** Longer than any partition: its size can change without an event, its start cannot. */
const ENDLESS = 1n << 62n;
const ANYWHERE = { at: 0n, length: undefined, start: 0n };

/**
 * What lies directly below block devices, kept for as long as it holds. Which changes an event tells,
 * and which it does not (seen on Linux 6.1.176 and 6.18.44, and in their source):
 *
 * - a mapper device gets another live table: `change`, when it is resumed (drivers/md/dm-ioctl.c,
 *   do_resume);
 * - a loop device is unbound: `change` (drivers/block/loop.c, __loop_clr_fd). It is bound, or a
 *   read-only one exchanges its file: not before e7bc0010ceb4 of 2025. Its offset moves: `change`, but
 *   this is not relied on;
 * - a partition is deleted: `remove`; its size changes: nothing;
 * - a disk of another driver gets or loses devices below (md, bcache): not each time;
 * - a device goes, and its number may be given to another one: `remove`.
 *
 * So what it tells of a device may be more than the device stands on, and is never less: the end of a
 * partition, and the window of a loop device over a block device, are left out.
 */
export class StorageNodes {
  readonly #nodes = new Map<number, Node>();
  /** Those that have a `holds`. */
  readonly #unannounced = new Map<number, Node>();
  /** What may have changed. */
  readonly #doubtful = new Set<number>();

  /** Forgets everything. */
  clear(): void {
    this.#nodes.clear();
    this.#unannounced.clear();
    this.#doubtful.clear();
  }

  forget(key: number): void {
    this.#nodes.delete(key);
    this.#unannounced.delete(key);
    this.#doubtful.delete(key);
  }

  /** Takes note of an event. */
  heed({ devnum }: Uevent): void {
    this.doubt(devnumKey(devnum));
  }

  /** Has a device read again, if it is known. */
  doubt(key: number): void {
    if (this.#nodes.has(key)) this.#doubtful.add(key);
  }

  /** What the index has last seen of a device. Tells whether a loop device has just this status. */
  agrees(devnum: Devnum, status: LoopStatus | undefined): boolean {
    return this.#nodes.get(devnumKey(devnum))?.text === textOf(belowLoop(status));
  }

  /** Reads again what may have changed. Returns what has. Throws `SystemError`. */
  async refresh(): Promise<number[]> {
    for (const [key, node] of this.#unannounced) if (!node.holds?.()) this.#doubtful.add(key);
    const doubtful = [...this.#doubtful].map((key) => this.#nodes.get(key));
    const changed: number[] = [];
    const map = new DeviceMap();
    const reads = doubtful.map(async (known) => {
      if (known === undefined) return;
      const key = devnumKey(known.devnum);
      // Without it, whatever comes of the read.
      this.forget(key);
      const found = await readNode(map, known.devnum).catch((error: unknown) => {
        changed.push(key);
        throw error;
      });
      this.#keep(key, found);
      if (found.text !== known.text) changed.push(key);
    });
    await Promise.all(reads);
    return changed;
  }

  /** What lies directly below a device. Throws `SystemError`. */
  async below(map: DeviceMap, devnum: Devnum): Promise<Below | undefined> {
    const key = devnumKey(devnum);
    const known = this.#nodes.get(key);
    if (known !== undefined) return known.below;
    const node = await readNode(map, devnum);
    this.#keep(key, node);
    return node.below;
  }

  #keep(key: number, node: Node): void {
    this.#nodes.set(key, node);
    if (node.holds !== undefined) this.#unannounced.set(key, node);
  }
}
