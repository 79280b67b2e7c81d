import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { type Devnum, devnumKey, formatDevnum } from '../../../src/linux/devnum.js';
import { type Uevent, UeventSocket, type UeventSource } from '../../../src/linux/uevents.js';
import { SENDS_LOOP_EVENTS } from '../../../src/topology/loop-backing.js';
import { StorageIndex } from '../../../src/topology/storage-index.js';
import {
  directLookup,
  type NearbyDevices,
  type NearbyQuery,
} from '../../../src/topology/storage-lookup.js';
import { fileExtent, StorageSnapshot } from '../../../src/topology/storage-snapshot.js';
import { devnumOfNode } from './changing-storage.js';

/** The kernel's events, of which a test can keep some from the index. */
export class EditedEvents implements UeventSource {
  readonly #socket: UeventSource;
  #kept: Uevent[] = [];
  /** The number of events that were kept at the last mark. */
  #marked = 0;
  #overrun = false;

  constructor() {
    const socket = UeventSocket.open();
    assert.ok(socket, 'the events of the kernel can be heard');
    this.#socket = socket;
  }

  /** Marks the events up to now. A later call of suppress() leaves them alone. */
  mark(): void {
    this.#fetch();
    this.#marked = this.#kept.length;
  }

  /** Drops the events of this device since the last mark, as if the kernel had sent none. */
  suppress(devnum: Devnum): void {
    this.#fetch();
    const since = this.#kept.splice(this.#marked);
    this.#kept.push(...since.filter((event) => devnumKey(event.devnum) !== devnumKey(devnum)));
  }

  /**
   * Makes the next drain() report that events were lost, as if the socket's buffer had overflowed.
   */
  lose(): void {
    this.#overrun = true;
  }

  drain(): readonly Uevent[] | 'overrun' {
    this.#fetch();
    const events = this.#kept;
    this.#kept = [];
    this.#marked = 0;
    if (!this.#overrun) return events;
    this.#overrun = false;
    return 'overrun';
  }

  #fetch(): void {
    const events = this.#socket.drain();
    if (events === 'overrun') this.#overrun = true;
    else this.#kept.push(...events);
  }
}

/** An index whose answers must equal those of a fresh look at all devices. */
export class ComparedIndex {
  readonly events = new EditedEvents();
  readonly index: StorageIndex;

  constructor(loopsAreTold = SENDS_LOOP_EVENTS) {
    this.index = new StorageIndex(this.events, loopsAreTold);
  }

  /**
   * Asks the index and a fresh look which of the devices have bytes of a file or device. Only the
   * devices given count, because other tests run on the same machine. Returns how many of them the
   * index names, right or wrong.
   */
  async compare(wanted: string, devices: readonly Devnum[], title: string): Promise<number> {
    const snapshot = new StorageSnapshot();
    const { extents, stack } = await reachOf(snapshot, wanted);
    const query = { snapshot, extents, stack, devices, readers: true };
    const fresh = await this.#answer(await directLookup.findNearby(query), query);
    const indexed = await this.#answer(await this.index.findNearby(query), query);
    assert.deepEqual(indexed.exact, fresh.exact, `${title}: what meets ${wanted}`);
    return indexed.named;
  }

  async #answer(
    { loops, above, mayHave }: NearbyDevices,
    { snapshot, extents, devices }: NearbyQuery,
  ): Promise<{ exact: Record<string, string[]>; named: number }> {
    const own = new Set(devices.map(devnumKey));
    const isOwn = (devnum: Devnum): boolean => own.has(devnumKey(devnum));
    const lists = {
      loops: loops.filter(isOwn),
      above: above.filter(isOwn),
      guests: devices.filter(mayHave),
    };
    const exact: Record<string, string[]> = {};
    for (const [kind, list] of Object.entries(lists)) {
      const met: string[] = [];
      for (const devnum of list) {
        const meets = await snapshot.reachWithin(devnum, extents);
        if (meets !== undefined) met.push(formatDevnum(devnum));
      }
      exact[kind] = met.sort();
    }
    return { exact, named: new Set(Object.values(lists).flat().map(devnumKey)).size };
  }
}

async function reachOf(
  snapshot: StorageSnapshot,
  path: string,
): Promise<Pick<NearbyQuery, 'extents' | 'stack'>> {
  const devnum = devnumOfNode(path);
  if (devnum !== undefined) return await snapshot.reach(devnum);
  const extents = [fileExtent(statSync(path, { bigint: true }), 0n, undefined)];
  return { extents, stack: new Set() };
}
