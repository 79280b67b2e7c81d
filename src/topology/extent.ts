import { type Devnum, formatDevnum } from '../linux/devnum.js';

/**
 * Something on which uses are compared: a file; a disk, or a device that does not tell where its
 * bytes lie below; a thin volume of a pool; a device as the snapshots of it see it.
 */
export type Storage =
  | { readonly kind: 'file'; readonly device: bigint; readonly inode: bigint }
  | { readonly kind: 'disk'; readonly devnum: Devnum; readonly wwid?: string | undefined }
  | { readonly kind: 'thin'; readonly pool: Devnum; readonly id: string }
  | { readonly kind: 'origin'; readonly devnum: Devnum };

/** A run of bytes in some storage, from `start` up to `end`, or without an end. */
export interface Extent {
  readonly storage: Storage;
  readonly start: bigint;
  readonly end: bigint | undefined;
  /**
   * The keys of the devices above the storage that do not tell where their bytes lie. Two uses that
   * stand on the same one of these devices are compared on that device and not on the storage.
   */
  readonly beneath?: readonly string[] | undefined;
  /** Set where the user of the device only reads these bytes, even if it writes other bytes. */
  readonly readOnly?: true | undefined;
}

/** A part of a device, in bytes of that device. */
export interface Window {
  readonly start: bigint;
  readonly end: bigint | undefined;
}

export const WHOLE: Window = { start: 0n, end: undefined };

/** Returns a text that is the same for the same storage, and different for all other storage. */
export function storageKey(storage: Storage): string {
  switch (storage.kind) {
    case 'file':
      return `file ${storage.device}:${storage.inode}`;
    case 'disk':
      // One disk may appear under several device numbers.
      return `disk ${storage.wwid ?? formatDevnum(storage.devnum)}`;
    case 'thin':
      return `thin ${formatDevnum(storage.pool)}:${storage.id}`;
    case 'origin':
      return `origin ${formatDevnum(storage.devnum)}`;
  }
}

/**
 * Returns whether two sets of extents have a byte in common. Only pairs of extents for which
 * `counts` returns `true` are considered.
 */
export function overlap(
  some: readonly Extent[],
  others: readonly Extent[],
  counts: (a: Extent, b: Extent) => boolean = () => true,
): boolean {
  return some.some((a) => others.some((b) => meet(a, b) && counts(a, b)));
}

function meet(a: Extent, b: Extent): boolean {
  return (
    storageKey(a.storage) === storageKey(b.storage) &&
    !isEmpty(intersect(a, b)) &&
    isComparable(a.beneath, b.beneath)
  );
}

/**
 * Returns whether two extents of one piece of storage are to be compared on that storage. They are
 * not if they have met on a device above it. Pure.
 */
export function isComparable(a: Extent['beneath'] = [], b: Extent['beneath'] = []): boolean {
  return !a.some((key) => b.includes(key));
}

/** Returns the bytes that two windows of one device have in common. The result may be empty. */
export function intersect(a: Window, b: Window): Window {
  const start = a.start > b.start ? a.start : b.start;
  if (a.end === undefined || b.end === undefined) return { start, end: a.end ?? b.end };
  return { start, end: a.end < b.end ? a.end : b.end };
}

/** Returns whether a window has no bytes. */
export function isEmpty({ start, end }: Window): boolean {
  return end !== undefined && end <= start;
}

/**
 * Returns where a window of a device lies on the device below. `length` bytes of the device, from
 * `at` on, lie there from `start` on. The result may be empty.
 */
export function project(
  window: Window,
  { at, start, length }: { at: bigint; start: bigint; length: bigint | undefined },
): Window {
  const end = length === undefined ? undefined : at + length;
  const part = intersect(window, { start: at, end });
  const shift = start - at;
  return {
    start: part.start + shift,
    end: part.end === undefined ? undefined : part.end + shift,
  };
}

/** Returns the window of `length` bytes from `start` on. Without a length the window has no end. */
export function windowOf(start: bigint, length: bigint | undefined): Window {
  return { start, end: length === undefined ? undefined : start + length };
}
