import { formatDevnum } from '../linux/devnum.js';
import { compareVms, readDomains } from '../sharing/same-vm.js';
import { type Extent, overlap, storageKey } from '../topology/extent.js';
import { StorageSnapshot } from '../topology/storage-snapshot.js';
import type { OpenVbd } from '../vbd/open-vbds.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import type { HostOverlap } from './host-state.js';

interface OpenBytes {
  readonly use: OpenVbd;
  readonly extents: readonly Extent[];
}

/**
 * Finds pairs of vbds of different virtual machines that blkback has open on the same bytes, where
 * at least one of the two may write. Skips a device that does not answer.
 */
export async function findOverlaps(
  store: Xenstore,
  open: readonly OpenVbd[],
  options: RequestOptions,
): Promise<HostOverlap[]> {
  const snapshot = new StorageSnapshot(options.signal);
  const byStorage = new Map<string, OpenBytes[]>();
  for (const use of open) {
    const reach = await snapshot.reach(use.devnum).catch(() => undefined);
    const bytes = { use, extents: reach?.extents ?? [] };
    for (const key of new Set(bytes.extents.map(({ storage }) => storageKey(storage)))) {
      byStorage.set(key, [...(byStorage.get(key) ?? []), bytes]);
    }
  }
  const found = new Map<string, HostOverlap>();
  for (const [a, b] of [...byStorage.values()].flatMap(pairs)) {
    if (!a.use.writable && !b.use.writable) continue;
    const [writer, other] = a.use.writable ? [a.use, b.use] : [b.use, a.use];
    const key = `${writer.vbd.backend} ${other.vbd.backend}`;
    if (found.has(key) || !overlap(a.extents, b.extents, isWritten)) continue;
    if (await isSameMachine(store, writer.vbd.domid, other.vbd.domid, options)) continue;
    const device = snapshot.block(writer.devnum)?.path ?? formatDevnum(writer.devnum);
    found.set(key, { writer: writer.vbd, other: other.vbd, device });
  }
  return [...found.values()];
}

/** Tells whether one of two extents may be written. Two read-only extents overlap without harm. */
function isWritten(a: Extent, b: Extent): boolean {
  return a.readOnly === undefined || b.readOnly === undefined;
}

function pairs<T>(all: readonly T[]): [T, T][] {
  return all.flatMap((a, index) => all.slice(index + 1).map((b): [T, T] => [a, b]));
}

async function isSameMachine(
  store: Xenstore,
  a: number,
  b: number,
  options: RequestOptions,
): Promise<boolean> {
  if (a === b) return true;
  const [one, other] = await readDomains(store, [a, b], options);
  return one !== undefined && other !== undefined && compareVms(one, other, 'check') === 'same';
}
