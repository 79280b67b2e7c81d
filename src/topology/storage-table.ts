import { type Devnum, devnumKey } from '../linux/devnum.js';
import type { Extent } from './extent.js';
import { ExtentTable } from './extent-table.js';
import { followDown } from './reach.js';
import { StorageNodes } from './storage-nodes.js';
import { StorageSnapshot } from './storage-snapshot.js';

/**
 * The bytes of devices, and the devices that each of them stands on. When one of the devices below
 * changes, the bytes are unknown until they have been found out again.
 */
export class StorageTable {
  readonly nodes: StorageNodes;
  readonly #extents = new ExtentTable();
  /** For each device, the devices that stand on it, itself included. */
  readonly #dependents = new Map<number, Set<number>>();
  /** For each device, the devices that it stands on, itself included. */
  readonly #stacks = new Map<number, Set<number>>();
  /** The devices whose bytes the next `refresh` finds out. */
  readonly #pending = new Map<number, Devnum>();

  /** @param loopsAreTold whether an event comes for each loop device that exchanges its file. */
  constructor(loopsAreTold: boolean) {
    this.nodes = new StorageNodes(loopsAreTold, (key) => this.#doubtAbove(key));
  }

  clear(): void {
    this.nodes.clear();
    this.#extents.clear();
    for (const map of [this.#dependents, this.#stacks, this.#pending]) map.clear();
  }

  has(key: number): boolean {
    return this.#extents.has(key);
  }

  isUnknown(key: number): boolean {
    return this.#extents.isUnknown(key);
  }

  meeting(extents: readonly Extent[]): Map<number, Devnum> {
    return this.#extents.meeting(extents);
  }

  /** Enters a device. The next `refresh` finds out its bytes. */
  expect(devnum: Devnum): void {
    const key = devnumKey(devnum);
    if (this.#extents.has(key)) return;
    this.#extents.set(devnum, undefined);
    this.#pending.set(key, devnum);
  }

  /** Takes a device out. */
  drop(key: number): void {
    this.#extents.delete(key);
    this.#pending.delete(key);
    this.#leave(key);
  }

  /** Reads again what has changed, and reads whatever is unknown. */
  async refresh(): Promise<void> {
    await this.nodes.refresh();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    const snapshot = new StorageSnapshot();
    await Promise.all(pending.map((devnum) => this.#follow(snapshot, devnum)));
  }

  /** Makes the bytes of a device, and of all that stand on it, unknown. */
  #doubtAbove(changed: number): void {
    for (const key of this.#dependents.get(changed) ?? []) this.#doubt(key);
  }

  #doubt(key: number): void {
    const devnum = this.#extents.get(key);
    if (devnum === undefined) return;
    this.#extents.set(devnum, undefined);
    this.#pending.set(key, devnum);
  }

  async #follow(snapshot: StorageSnapshot, devnum: Devnum): Promise<void> {
    const key = devnumKey(devnum);
    const stack = new Set<number>();
    const { extents } = await followDown(devnum, async (device) => {
      stack.add(devnumKey(device));
      return await this.nodes.below(snapshot, device);
    });
    if (this.nodes.isAbsent(key)) {
      // The device has no bytes. If it comes again, it is a new device.
      this.nodes.forget(key);
      this.drop(key);
      return;
    }
    const failed = [...stack].some((one) => this.nodes.get(one)?.failed);
    this.#leave(key, stack);
    this.#stacks.set(key, stack);
    for (const lower of stack) {
      const dependents = this.#dependents.get(lower) ?? new Set<number>();
      this.#dependents.set(lower, dependents.add(key));
    }
    this.#extents.set(devnum, failed ? undefined : extents);
    // A device that could not be read is read again each time.
    if (failed) this.#pending.set(key, devnum);
  }

  /** Forgets on which devices a device stands, except for the devices in `staying`. */
  #leave(key: number, staying: ReadonlySet<number> = new Set()): void {
    for (const lower of this.#stacks.get(key) ?? []) {
      if (staying.has(lower)) continue;
      const dependents = this.#dependents.get(lower);
      dependents?.delete(key);
      if (dependents?.size !== 0) continue;
      this.#dependents.delete(lower);
      this.nodes.forget(lower);
    }
    this.#stacks.delete(key);
  }
}
