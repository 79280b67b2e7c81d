import { type Devnum, devnumKey } from '../linux/devnum.js';
import type { Uevent } from '../linux/uevents.js';
import { isStackablePath, listStackable, parseLoops, readPartitionList } from './stacked-block.js';

/** Which devices have come and gone. */
export interface Changes {
  readonly come: readonly Devnum[];
  readonly gone: readonly number[];
}

/**
 * The devices that can stand on others: loop devices that have bytes, mapper devices and other disks
 * without hardware of their own. Of all but loop devices the events of the kernel tell when they come
 * and go; loop devices stay when they are unbound, and not every kernel tells when they are bound, but
 * those that have bytes are in the kernel's list of devices.
 */
export class StackableDevices {
  #list = '';
  #loops = new Map<number, Devnum>();
  #others = new Map<number, Devnum>();

  isLoop(key: number): boolean {
    return this.#loops.has(key);
  }

  /**
   * Brings it up to date with what has happened since the last call, all of it; without events
   * everything is looked for anew, and has come. Throws `SystemError`.
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
    this.#updateLoops(come, gone);
    for (const event of events ?? []) this.#heed(event, come, gone);
    return { come: [...come.values()], gone: [...gone] };
  }

  #heed(event: Uevent, come: Map<number, Devnum>, gone: Set<number>): void {
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
