import { type Devnum, formatDevnum } from '../linux/devnum.js';

/**
 * What uses are compared on: a file, a disk, a device that does not tell where its bytes lie below, a
 * thin volume of a pool, a device as snapshots of it see it.
 */
export type Base =
  | { readonly kind: 'file'; readonly device: bigint; readonly inode: bigint }
  | { readonly kind: 'disk'; readonly devnum: Devnum; readonly wwid?: string | undefined }
  | { readonly kind: 'thin'; readonly pool: Devnum; readonly id: string }
  | { readonly kind: 'origin'; readonly devnum: Devnum };

/** A run of bytes on a base, from `start` up to `end`, or without an end. */
export interface Extent {
  readonly base: Base;
  readonly start: bigint;
  readonly end: bigint | undefined;
  /**
   * The devices on the way down to it that do not tell where their bytes lie, by keys. Two uses that
   * stand on the same one are compared there and not here.
   */
  readonly beneath?: readonly string[] | undefined;
  /** Whoever has it reads these bytes at the most, also where he writes others. */
  readonly readOnly?: true | undefined;
}

/** A part of a device, in bytes of that device. */
export interface Window {
  readonly start: bigint;
  readonly end: bigint | undefined;
}

export const WHOLE: Window = { start: 0n, end: undefined };

/** The same text for the same base, and for no other one. */
export function baseKey(base: Base): string {
  switch (base.kind) {
    case 'file':
      return `file ${base.device}:${base.inode}`;
    case 'disk':
      // One disk may show under several numbers.
      return `disk ${base.wwid ?? formatDevnum(base.devnum)}`;
    case 'thin':
      return `thin ${formatDevnum(base.pool)}:${base.id}`;
    case 'origin':
      return `origin ${formatDevnum(base.devnum)}`;
  }
}

/** Whether two sets of extents have a byte in common, of those pairs that count. */
export function overlap(
  some: readonly Extent[],
  others: readonly Extent[],
  counts: (a: Extent, b: Extent) => boolean = () => true,
): boolean {
  return some.some((a) => others.some((b) => meet(a, b) && counts(a, b)));
}

function meet(a: Extent, b: Extent): boolean {
  return (
    baseKey(a.base) === baseKey(b.base) &&
    !isEmpty(intersect(a, b)) &&
    isComparable(a.beneath, b.beneath)
  );
}

/** Whether extents of one base are to be compared there: they have met on no device above it. Pure. */
export function isComparable(a: Extent['beneath'] = [], b: Extent['beneath'] = []): boolean {
  return !a.some((key) => b.includes(key));
}

/** What two windows of one device have in common; it may be empty. */
export function intersect(a: Window, b: Window): Window {
  const start = a.start > b.start ? a.start : b.start;
  if (a.end === undefined || b.end === undefined) return { start, end: a.end ?? b.end };
  return { start, end: a.end < b.end ? a.end : b.end };
}

export function isEmpty({ start, end }: Window): boolean {
  return end !== undefined && end <= start;
}

/**
 * Where a window of a device lies on the device below, if the device's bytes from `at` on, `length`
 * of them, lie there from `start` on. It may be empty.
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

/** The window of `length` bytes from `start` on; without a length it has no end. */
export function windowOf(start: bigint, length: bigint | undefined): Window {
  return { start, end: length === undefined ? undefined : start + length };
}
