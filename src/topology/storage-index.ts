import { type Devnum, devnumKey, parseDevnum } from '../linux/devnum.js';
import type { UeventSource } from '../linux/uevents.js';
import { CoalescedRuns } from '../util/coalesced-runs.js';
import { type Extent, storageKey } from './extent.js';
import { StackableDevices } from './stackable-devices.js';
import { isReadOnly } from './stacked-block.js';
import {
  listAbove,
  type NearbyDevices,
  type NearbyQuery,
  type StorageLookup,
} from './storage-lookup.js';
import type { StorageSnapshot } from './storage-snapshot.js';
import { StorageTable } from './storage-table.js';

/**
 * The memory of what the block devices of this machine stand on, kept from question to question.
 *
 * Each question first takes in the events since the last question, and looks at everything of which
 * no event tells. Only what has changed is read again. So a question costs the same beside a
 * thousand devices as beside none, except for a look at the list of devices.
 */
export class StorageIndex implements StorageLookup {
  readonly #events: UeventSource;
  readonly #table: StorageTable;
  readonly #devices: StackableDevices;
  /** Devices of vbds that queries have named since the last update. */
  #asked: (readonly Devnum[])[] = [];
  readonly #updates = new CoalescedRuns(() => this.#update());
  /** Whether all events up to the last update have been taken into account. */
  #isComplete = false;

  /**
   * @param loopsAreTold whether an event comes for each loop device that is bound, or that
   *   exchanges its file.
   */
  constructor(events: UeventSource, loopsAreTold: boolean) {
    this.#events = events;
    this.#table = new StorageTable(loopsAreTold);
    this.#devices = new StackableDevices(loopsAreTold);
  }

  async findNearby(query: NearbyQuery): Promise<NearbyDevices> {
    const { snapshot, devices, extents, stack, readers } = query;
    this.#asked.push(devices);
    await this.#updates.next();
    if (await this.#doubtWindows(snapshot, extents)) await this.#updates.next();
    const found = this.#table.meeting(extents);
    const loops: Devnum[] = [];
    const above: Devnum[] = [];
    for (const [key, devnum] of found) {
      if (!this.#devices.isLoop(key)) above.push(devnum);
      else if (readers || !isReadOnly(devnum)) loops.push(devnum);
    }
    return {
      loops,
      above: this.#thoseAbove(above, snapshot, stack),
      mayHave: (devnum) => {
        const key = devnumKey(devnum);
        return found.has(key) || !this.#table.has(key);
      },
    };
  }

  /**
   * Checks that the loop devices over the files in question still have the windows that are
   * remembered. Does not look up again what the asker has looked up already.
   */
  async #doubtWindows(snapshot: StorageSnapshot, extents: readonly Extent[]): Promise<boolean> {
    const files = new Set(extents.filter(({ storage }) => storage.kind === 'file').map(fileKey));
    const loops = [...files].flatMap((file) => this.#table.nodes.loopsOver(file));
    const looks = loops.map(async (devnum) => {
      const isSame = await snapshot.loop(devnum).then(
        (status) => this.#table.nodes.agrees(devnum, status),
        // A question that needs this loop device meets the error itself.
        () => false,
      );
      if (!isSame) this.#table.nodes.doubt(devnumKey(devnum));
      return isSame;
    });
    return (await Promise.all(looks)).includes(false);
  }

  /**
   * Returns those of the devices that have claimed a device of the stack, directly or through other
   * devices.
   */
  #thoseAbove(
    devices: readonly Devnum[],
    snapshot: StorageSnapshot,
    stack: ReadonlySet<string>,
  ): Devnum[] {
    const isUnknown = devices.some((devnum) => this.#table.isUnknown(devnumKey(devnum)));
    const holders = new Set(isUnknown ? listAbove(snapshot, stack).map(devnumKey) : []);
    const keys = new Set([...stack].map(parseDevnum).map((devnum) => devnum && devnumKey(devnum)));
    return devices.filter((devnum) => {
      const key = devnumKey(devnum);
      if (keys.has(key)) return false;
      return this.#table.isUnknown(key)
        ? holders.has(key)
        : this.#table.nodes.claimedBy(key).some((claimed) => keys.has(claimed));
    });
  }

  async #update(): Promise<void> {
    this.#takeEvents();
    await this.#table.refresh();
  }

  /**
   * Takes in the events. Nothing in here waits, because a question that looks meanwhile must not
   * find a table of which half is missing.
   */
  #takeEvents(): void {
    const wasComplete = this.#isComplete;
    this.#isComplete = false;
    const drained = this.#events.drain();
    const events = wasComplete && drained !== 'overrun' ? drained : undefined;
    if (events === undefined) this.#table.clear();
    for (const { devnum } of events ?? []) this.#table.nodes.doubt(devnumKey(devnum));
    const { come, gone } = this.#devices.update(events);
    for (const key of gone) this.#table.drop(key);
    for (const devnums of [come, ...this.#asked]) {
      for (const devnum of devnums) this.#table.expect(devnum);
    }
    this.#asked = [];
    this.#isComplete = true;
  }
}

function fileKey({ storage }: Extent): string {
  return storageKey(storage);
}
