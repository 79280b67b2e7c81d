import { type Devnum, formatDevnum } from '../linux/devnum.js';

/** What has bytes of its own that can be seen nowhere below: a file, a disk, a thin volume of a pool. */
export type Base =
  | { readonly kind: 'file'; readonly device: bigint; readonly inode: bigint }
  | { readonly kind: 'disk'; readonly devnum: Devnum }
  | { readonly kind: 'thin'; readonly pool: Devnum; readonly id: string };

/** A run of bytes on a base, from `start` up to `end`, or without an end. */
export interface Extent {
  readonly base: Base;
  readonly start: bigint;
  readonly end: bigint | undefined;
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
      return `disk ${formatDevnum(base.devnum)}`;
    case 'thin':
      return `thin ${formatDevnum(base.pool)}:${base.id}`;
  }
}

/** The keys of all bases, each once, in an order that is the same for everybody. */
export function baseKeys(extents: readonly Extent[]): string[] {
  return [...new Set(extents.map(({ base }) => baseKey(base)))].sort();
}

/** Whether two sets of extents have a byte in common. */
export function overlap(some: readonly Extent[], others: readonly Extent[]): boolean {
  return some.some((a) => others.some((b) => meet(a, b)));
}

function meet(a: Extent, b: Extent): boolean {
  return baseKey(a.base) === baseKey(b.base) && !isEmpty(intersect(a, b));
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
