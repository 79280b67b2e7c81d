import { type Devnum, devnumKey } from '../linux/devnum.js';
import type { Uevent } from '../linux/uevents.js';
import { parseLoops, readPartitionList } from './partition-list.js';
import { hasBytes, isLoopPath, isStackablePath, listStackable } from './stacked-block.js';

/** The devices that have come, and the keys of those that have gone. */
export interface Changes {
  readonly come: readonly Devnum[];
  readonly gone: readonly number[];
}

/**
 * The devices that can stand on others: loop devices that have bytes, mapper devices, and other
 * disks without hardware of their own.
 *
 * Events of the kernel tell when these devices come and go. Loop devices stay when they are
 * unbound, and not every kernel tells when they are bound. Where it does not, each update looks in
 * the kernel's list of devices for the loop devices that have bytes.
 */
export class StackableDevices {
  #list = '';
  #loops = new Map<number, Devnum>();
  #others = new Map<number, Devnum>();
  readonly #loopsAreTold: boolean;

  /** @param loopsAreTold whether an event comes for each loop device that is bound. */
  constructor(loopsAreTold: boolean) {
    this.#loopsAreTold = loopsAreTold;
  }

  isLoop(key: number): boolean {
    return this.#loops.has(key);
  }

  /**
   * Takes all events since the last call into account, and returns what has changed. Where `events`
   * is `undefined`, it looks for all devices anew, and all of them count as come. Throws `SystemError`.
   */
  update(events: readonly Uevent[] | undefined): Changes {
    const gone = new Set<number>();
    const come = new Map<number, Devnum>();
    if (events === undefined) {
      this.#list = '';
      this.#loops.clear();
      this.#others = new Map(listStackable().map((devnum) => [devnumKey(devnum), devnum]));
      for (const [key, devnum] of this.#others) come.set(key, devnum);
    }
    if (events === undefined || !this.#loopsAreTold) this.#updateLoops(come, gone);
    const loops = new Map<number, Devnum>();
    for (const event of events ?? []) {
      // Each loop device is named in several events, and is looked at once.
      if (isLoopPath(event.devpath)) loops.set(devnumKey(event.devnum), event.devnum);
      else this.#apply(event, come, gone);
    }
    if (this.#loopsAreTold) for (const loop of loops.values()) this.#updateLoop(loop, come, gone);
    return { come: [...come.values()], gone: [...gone] };
  }

  #apply(event: Uevent, come: Map<number, Devnum>, gone: Set<number>): void {
    const { action, devpath, devnum, isPartition } = event;
    const key = devnumKey(devnum);
    if (action === 'remove') {
      this.#others.delete(key);
      come.delete(key);
      gone.add(key);
    } else if (!isPartition && !this.#others.has(key) && isStackablePath(devpath)) {
      this.#others.set(key, devnum);
      come.set(key, devnum);
    }
  }

  #updateLoop(devnum: Devnum, come: Map<number, Devnum>, gone: Set<number>): void {
    const key = devnumKey(devnum);
    if (!hasBytes(devnum)) {
      if (this.#loops.delete(key)) gone.add(key);
      come.delete(key);
    } else if (!this.#loops.has(key)) {
      this.#loops.set(key, devnum);
      come.set(key, devnum);
    }
  }

  #updateLoops(come: Map<number, Devnum>, gone: Set<number>): void {
    const list = readPartitionList();
    if (list === this.#list) return;
    const loops = parseLoops(list);
    for (const [key, devnum] of loops) if (!this.#loops.has(key)) come.set(key, devnum);
    for (const key of this.#loops.keys()) if (!loops.has(key)) gone.add(key);
    this.#loops = loops;
    this.#list = list;
  }
}
