import { type Devnum, devnumKey } from '../linux/devnum.js';
import { baseKey, type Extent, intersect, isComparable, isEmpty, type Window } from './extent.js';

interface Row {
  readonly devnum: Devnum;
  /** By the keys of their places; `undefined` where nobody knows what bytes the device has. */
  readonly windows: ReadonlyMap<string, Group> | undefined;
}

/** Windows of one place: a base, beneath the same devices. */
interface Group {
  readonly base: string;
  readonly beneath: readonly string[];
  readonly windows: Window[];
}

/** The rows that have windows of a place. */
interface Place {
  readonly beneath: readonly string[];
  readonly rows: Map<number, Row>;
}

/** Which devices have which bytes. */
export class ExtentTable {
  readonly #rows = new Map<number, Row>();
  /** By base, then by place: what has met above is left out at once, however many devices it is. */
  readonly #byBase = new Map<string, Map<string, Place>>();
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
    for (const map of [this.#rows, this.#byBase, this.#unknown]) map.clear();
  }

  /** Enters a device with its bytes, or without where they are not known. */
  set(devnum: Devnum, extents: readonly Extent[] | undefined): void {
    const key = devnumKey(devnum);
    this.delete(key);
    const row = { devnum, windows: extents && groupByPlace(extents) };
    this.#rows.set(key, row);
    if (row.windows === undefined) this.#unknown.set(key, devnum);
    for (const [name, { base, beneath }] of row.windows ?? []) {
      const places = this.#byBase.get(base) ?? new Map<string, Place>();
      const place = places.get(name) ?? { beneath, rows: new Map<number, Row>() };
      place.rows.set(key, row);
      this.#byBase.set(base, places.set(name, place));
    }
  }

  delete(key: number): void {
    for (const [name, { base }] of this.#rows.get(key)?.windows ?? []) {
      const places = this.#byBase.get(base);
      const rows = places?.get(name)?.rows;
      rows?.delete(key);
      if (rows?.size === 0) places?.delete(name);
      if (places?.size === 0) this.#byBase.delete(base);
    }
    this.#rows.delete(key);
    this.#unknown.delete(key);
  }

  isUnknown(key: number): boolean {
    return this.#unknown.has(key);
  }

  /** The devices that have some of these bytes, and those of which that is not known. */
  meeting(extents: readonly Extent[]): Map<number, Devnum> {
    const found = new Map(this.#unknown);
    for (const { base, beneath, windows } of groupByPlace(extents).values()) {
      for (const [name, place] of this.#byBase.get(base) ?? []) {
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
  for (const { base, start, end, beneath = [] } of extents) {
    const key = baseKey(base);
    const name = [key, ...beneath].join(' beneath ');
    const group = groups.get(name) ?? { base: key, beneath, windows: [] };
    group.windows.push({ start, end });
    groups.set(name, group);
  }
  return groups;
}
