import type { Access } from '../topology/local-use.js';

/**
 * What a vbd tolerates on the same bytes beside itself. The uses of its own virtual machine do not
 * count.
 * - `deny`: nobody writes to bytes that somebody else uses; several readers may share them.
 * - `read-only`: at most one vbd writes, and others may read meanwhile.
 * - `allow`: everything. Only a device that blkback may open for another vbd by mistake, as the device
 *   has got the number of an earlier one, is refused.
 */
export type Sharing = 'deny' | 'read-only' | 'allow';

export const SHARINGS: readonly Sharing[] = ['deny', 'read-only', 'allow'];

/**
 * Returns whether a new use of some bytes may be added to a present use of them by somebody else.
 * Pure.
 */
export function mayShare(sharing: Sharing, wanted: Access, present: Access): boolean {
  if (sharing === 'allow') return true;
  const writers = [wanted, present].filter((access) => access === 'read-write').length;
  return writers <= (sharing === 'read-only' ? 1 : 0);
}
