import { type Devnum, devnumKey } from '../linux/devnum.js';
import { baseKey, type Extent, intersect, isEmpty, type Window } from './extent.js';

interface Row {
  readonly devnum: Devnum;
  /** By the key of their base; `undefined` where nobody knows what bytes the device has. */
  readonly windows: ReadonlyMap<string, readonly Window[]> | undefined;
}

/** Which devices have which bytes. */
export class ExtentTable {
  readonly #rows = new Map<number, Row>();
  readonly #byBase = new Map<string, Map<number, Row>>();
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
    const row = { devnum, windows: extents && groupByBase(extents) };
    this.#rows.set(key, row);
    if (row.windows === undefined) this.#unknown.set(key, devnum);
    for (const base of row.windows?.keys() ?? []) {
      const rows = this.#byBase.get(base) ?? new Map<number, Row>();
      this.#byBase.set(base, rows.set(key, row));
    }
  }

  delete(key: number): void {
    for (const base of this.#rows.get(key)?.windows?.keys() ?? []) {
      const rows = this.#byBase.get(base);
      rows?.delete(key);
      if (rows?.size === 0) this.#byBase.delete(base);
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
    for (const [base, windows] of groupByBase(extents)) {
      for (const [key, row] of this.#byBase.get(base) ?? []) {
        if (row.windows?.get(base)?.some((a) => windows.some((b) => !isEmpty(intersect(a, b))))) {
          found.set(key, row.devnum);
        }
      }
    }
    return found;
  }
}

function groupByBase(extents: readonly Extent[]): Map<string, Window[]> {
  const groups = new Map<string, Window[]>();
  for (const { base, start, end } of extents) {
    const key = baseKey(base);
    const windows = groups.get(key) ?? [];
    windows.push({ start, end });
    groups.set(key, windows);
  }
  return groups;
}
