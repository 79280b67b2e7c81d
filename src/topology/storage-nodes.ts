import { type Devnum, devnumKey } from '../linux/devnum.js';
import type { LoopStatus } from '../linux/loop-ioctl.js';
import { storageKey } from './extent.js';
import type { Below } from './reach.js';
import { loopNodeText, readNode, type StorageNode } from './storage-node.js';
import { StorageSnapshot } from './storage-snapshot.js';

/**
 * The memory of what lies directly below block devices. Each entry is kept for as long as it holds.
 */
export class StorageNodes {
  readonly #nodes = new Map<number, StorageNode>();
  readonly #reading = new Map<number, Promise<StorageNode>>();
  /** Nodes of devices for which no event tells every change. */
  readonly #unannounced = new Map<number, StorageNode>();
  /** Devices that may have changed. */
  readonly #doubtful = new Set<number>();
  /** Loop devices by the key of their file. */
  readonly #loops = new Map<string, Map<number, Devnum>>();

  readonly #changed: (key: number) => void;
  readonly #readNode: (snapshot: StorageSnapshot, devnum: Devnum) => Promise<StorageNode>;

  /**
   * @param loopsAreTold whether an event comes for each loop device that exchanges its file.
   * @param changed called with the key of each device that is found changed, in the same moment in
   *   which the new reading takes the place of the old one.
   */
  constructor(
    loopsAreTold: boolean,
    changed: (key: number) => void,
    read: typeof readNode = readNode,
  ) {
    this.#changed = changed;
    this.#readNode = (snapshot, devnum) => read(snapshot, devnum, loopsAreTold);
  }

  /** Forgets everything. */
  clear(): void {
    for (const known of [this.#nodes, this.#unannounced, this.#doubtful, this.#loops])
      known.clear();
  }

  /** Forgets one device. */
  forget(key: number): void {
    this.#doubtful.delete(key);
    this.#remove(key);
  }

  #remove(key: number): void {
    const node = this.#nodes.get(key);
    this.#nodes.delete(key);
    this.#unannounced.delete(key);
    for (const file of node ? filesOf(node) : []) {
      const loops = this.#loops.get(file);
      loops?.delete(key);
      if (loops?.size === 0) this.#loops.delete(file);
    }
  }

  /**
   * Makes the next `refresh` read a device again, if the device is known or is being read. A
   * reading that has begun before this call may be older than the change.
   */
  doubt(key: number): void {
    if (this.#nodes.has(key) || this.#reading.has(key)) this.#doubtful.add(key);
  }

  get(key: number): StorageNode | undefined {
    return this.#nodes.get(key);
  }

  /** Returns whether there was no such device when it was read. */
  isAbsent(key: number): boolean {
    const node = this.#nodes.get(key);
    return node !== undefined && node.below === undefined && !node.failed;
  }

  /**
   * Returns the device itself and the devices that it has claimed, directly or through other
   * devices.
   */
  claimedBy(key: number): number[] {
    const found = new Set([key]);
    // The loop also visits the devices that it adds to the set.
    for (const one of found) {
      const node = this.#nodes.get(one);
      if (!node?.claims) continue;
      for (const segment of node.below?.segments ?? []) {
        if ('lower' in segment) found.add(devnumKey(segment.lower));
      }
    }
    return [...found];
  }

  /** Returns the loop devices that stand on the file with this key. */
  loopsOver(file: string): Devnum[] {
    return [...(this.#loops.get(file)?.values() ?? [])];
  }

  /** Returns whether a loop device is remembered with just this status. */
  agrees(devnum: Devnum, status: LoopStatus | undefined): boolean {
    return this.#nodes.get(devnumKey(devnum))?.text === loopNodeText(status);
  }

  /**
   * Reads again whatever may have changed. The older reading of a device stays until the new one is
   * there, so that questions which look meanwhile find every device.
   */
  async refresh(): Promise<void> {
    for (const [key, node] of this.#unannounced) if (!node.holds?.()) this.#doubtful.add(key);
    if (this.#doubtful.size === 0) return;
    const nodes = [...this.#doubtful].map((key) => this.#nodes.get(key));
    // A doubt that comes from now on is for the next call.
    this.#doubtful.clear();
    const snapshot = new StorageSnapshot();
    await Promise.all(nodes.map((node) => node && this.read(snapshot, node.devnum)));
  }

  /** Returns what lies directly below a device, from memory if the device is known. */
  async below(snapshot: StorageSnapshot, devnum: Devnum): Promise<Below | undefined> {
    return (this.#nodes.get(devnumKey(devnum)) ?? (await this.read(snapshot, devnum))).below;
  }

  /** Reads a device, once for all who ask at the same time. */
  async read(snapshot: StorageSnapshot, devnum: Devnum): Promise<StorageNode> {
    const key = devnumKey(devnum);
    const underWay = this.#reading.get(key);
    if (underWay !== undefined) return await underWay;
    const reading = this.#readNode(snapshot, devnum)
      .then((node) => this.#keep(key, node))
      .finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return await reading;
  }

  #keep(key: number, node: StorageNode): StorageNode {
    const old = this.#nodes.get(key);
    this.#remove(key);
    this.#nodes.set(key, node);
    if (node.holds !== undefined) this.#unannounced.set(key, node);
    for (const file of filesOf(node)) {
      const loops = this.#loops.get(file) ?? new Map<number, Devnum>();
      this.#loops.set(file, loops.set(key, node.devnum));
    }
    if (old !== undefined && old.text !== node.text) this.#changed(key);
    return node;
  }
}

/** Returns the keys of the files directly below. Only a loop device over a file has any. */
function filesOf({ below }: StorageNode): string[] {
  const storages =
    below?.segments.flatMap((segment) => ('storage' in segment ? [segment.storage] : [])) ?? [];
  return storages.filter(({ kind }) => kind === 'file').map(storageKey);
}
