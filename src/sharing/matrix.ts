import type { Access } from '../topology/local-use.js';

/**
 * What a vbd tolerates beside itself on the same bytes, by others than its own virtual machine:
 * - `deny`: nobody writes what somebody else uses; readers may share;
 * - `read-only`: one writes at the most, others may read meanwhile;
 * - `allow`: anything; nothing is checked.
 */
export type Sharing = 'deny' | 'read-only' | 'allow';

export const SHARINGS: readonly Sharing[] = ['deny', 'read-only', 'allow'];

/** Whether a new use of some bytes may be added to one that there is, of somebody else. Pure. */
export function mayShare(sharing: Sharing, wanted: Access, present: Access): boolean {
  if (sharing === 'allow') return true;
  const writers = [wanted, present].filter((access) => access === 'read-write').length;
  return writers <= (sharing === 'read-only' ? 1 : 0);
}

/** How the device of a vbd is used according to `mode`; blkback writes when there is a `w` in it. */
export function accessOf(mode: string | undefined): Access {
  return mode?.includes('w') ? 'read-write' : 'read-only';
}
