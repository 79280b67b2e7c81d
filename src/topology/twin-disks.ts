import { basename } from 'node:path';
import { type Devnum, formatDevnum } from '../linux/devnum.js';
import { listDisks, readDevnum } from '../linux/sysfs.js';
import type { Reach } from './reach.js';
import type { StorageSnapshot } from './storage-snapshot.js';

/**
 * Lists the other names of the disks at the bottom of a stack: disks outside the stack that have
 * the same `wwid`. Several paths may lead to one disk, and nobody may have joined them (multipath).
 * A claim of such a disk keeps nobody from claiming the one in the stack.
 */
export function listTwinDisks(
  snapshot: StorageSnapshot,
  { extents, stack }: Pick<Reach, 'extents' | 'stack'>,
): Devnum[] {
  const wwids = new Set(
    extents.flatMap(({ storage }) => (storage.kind === 'disk' ? (storage.wwid ?? []) : [])),
  );
  if (wwids.size === 0) return [];
  return listDisks()
    .filter(mayHaveWwid)
    .map(readDevnum)
    .filter((devnum) => devnum !== undefined)
    .filter((devnum) => !stack.has(formatDevnum(devnum)))
    .filter((devnum) => wwids.has(snapshot.block(devnum)?.wwid ?? ''));
}

/** Leaves out the devices of which a machine may have thousands. They have no `wwid`. */
function mayHaveWwid(directory: string): boolean {
  return !/^(?:dm-|loop)\d/.test(basename(directory));
}
