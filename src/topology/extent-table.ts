import { type Devnum, devnumKey } from '../linux/devnum.js';
import {
  type Extent,
  intersect,
  isComparable,
  isEmpty,
  storageKey,
  type Window,
} from './extent.js';

interface Row {
  readonly devnum: Devnum;
  /**
   * The windows by the key of their place; `undefined` where it is unknown which bytes the device
   * has.
   */
  readonly windows: ReadonlyMap<string, Group> | undefined;
}

/** The windows of one place. A place is some storage beneath certain devices. */
interface Group {
  readonly storageKey: string;
  readonly beneath: readonly string[];
  readonly windows: Window[];
}

/** The rows that have windows in one place. */
interface Place {
  readonly beneath: readonly string[];
  readonly rows: Map<number, Row>;
}

/** A table of devices and of the bytes that each device has. */
export class ExtentTable {
  readonly #rows = new Map<number, Row>();
  /**
   * The places of each piece of storage. A place whose uses are compared on a device above is left
   * out as a whole, however many devices it has.
   */
  readonly #byStorage = new Map<string, Map<string, Place>>();
  readonly #unknown = new Map<number, Devnum>();

  has(key: number): boolean {
    return this.#rows.has(key);
  }

  get(key: number): Devnum | undefined {
    return this.#rows.get(key)?.devnum;
  }

  keys(): IterableIterator<number> {
    return this.#rows.keys();
  }

  clear(): void {
    for (const map of [this.#rows, this.#byStorage, this.#unknown]) map.clear();
  }

  /** Enters a device with its bytes, or without them where they are unknown. */
  set(devnum: Devnum, extents: readonly Extent[] | undefined): void {
    const key = devnumKey(devnum);
    this.delete(key);
    const row = { devnum, windows: extents && groupByPlace(extents) };
    this.#rows.set(key, row);
    if (row.windows === undefined) this.#unknown.set(key, devnum);
    for (const [name, { storageKey: storage, beneath }] of row.windows ?? []) {
      const places = this.#byStorage.get(storage) ?? new Map<string, Place>();
      const place = places.get(name) ?? { beneath, rows: new Map<number, Row>() };
      place.rows.set(key, row);
      this.#byStorage.set(storage, places.set(name, place));
    }
  }

  delete(key: number): void {
    for (const [name, { storageKey: storage }] of this.#rows.get(key)?.windows ?? []) {
      const places = this.#byStorage.get(storage);
      const rows = places?.get(name)?.rows;
      rows?.delete(key);
      if (rows?.size === 0) places?.delete(name);
      if (places?.size === 0) this.#byStorage.delete(storage);
    }
    this.#rows.delete(key);
    this.#unknown.delete(key);
  }

  isUnknown(key: number): boolean {
    return this.#unknown.has(key);
  }

  /** Returns the devices that have some of these bytes, and the devices whose bytes are unknown. */
  meeting(extents: readonly Extent[]): Map<number, Devnum> {
    const found = new Map(this.#unknown);
    for (const { storageKey: storage, beneath, windows } of groupByPlace(extents).values()) {
      for (const [name, place] of this.#byStorage.get(storage) ?? []) {
        if (!isComparable(beneath, place.beneath)) continue;
        for (const [key, row] of place.rows) {
          if (meets(windows, row.windows?.get(name)?.windows)) found.set(key, row.devnum);
        }
      }
    }
    return found;
  }
}

function meets(some: readonly Window[], others: readonly Window[] = []): boolean {
  return others.some((a) => some.some((b) => !isEmpty(intersect(a, b))));
}

function groupByPlace(extents: readonly Extent[]): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const { storage, start, end, beneath = [] } of extents) {
    const key = storageKey(storage);
    const name = [key, ...beneath].join(' beneath ');
    const group = groups.get(name) ?? { storageKey: key, beneath, windows: [] };
    group.windows.push({ start, end });
    groups.set(name, group);
  }
  return groups;
}
