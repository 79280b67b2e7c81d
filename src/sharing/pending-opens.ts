import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Devnum } from '../linux/devnum.js';
import { O_RDONLY, OwnedFd } from '../linux/fd.js';
import { listLockedBytes, tryLockByte } from '../linux/range-lock.js';
import { type Extent, overlap } from '../topology/extent.js';
import type { Access, UnexplainedUse } from '../topology/local-use.js';
import type { StorageSnapshot } from '../topology/storage-snapshot.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { VbdUse, VbdUses } from '../vbd/vbd-uses.js';
import { SharingError } from './sharing-error.js';
import { LOCK_FILE, openLockFile } from './storage-locks.js';

/**
 * An open that blkback may still make. blkback reads the number of a device in one step and opens
 * the device in another step. If a toolstack deletes the nodes in between, neither XenStore nor
 * sysfs shows the vbd. The kernel does not show who has a disk open either, except for loop and
 * mapper devices.
 */
export interface PendingOpen {
  readonly devnum: Devnum;
  readonly domid: number;
  readonly writable: boolean;
  /** The remainder of the vbd's number, which has more bits than the position has room for. */
  readonly devid: number;
}

/**
 * The first and last byte of the lock file that stand for opens. The bytes below stand for storage
 * (`positionOf`).
 */
const FIRST = 1n << 62n;
const LAST = (1n << 63n) - 1n;
/**
 * A prime below 2^14. The numbers of a guest's vbds are multiples of 16, and their remainders by a
 * prime differ.
 */
const DEVIDS = 16381;

/**
 * Locks the byte that says that blkback may open a device. The lock lasts until this process, and
 * any child that has inherited the descriptor, has closed it. Two adds of one vbd may both have the
 * lock. Throws `ELOCK`.
 */
export async function markPendingOpen(
  runDirectory: string,
  vbd: VbdPath,
  use: { readonly devnum: Devnum; readonly writable: boolean },
): Promise<OwnedFd> {
  const file = openLockFile(runDirectory);
  const position = positionOfOpen({ ...use, domid: vbd.domid, devid: vbd.devid });
  try {
    if (tryLockByte(file, position, false)) return file;
    throw lockedAsWhole(file);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Lists the opens that blkback may still make. Throws `ELOCK`, `SystemError`. */
export async function listPendingOpens(runDirectory: string): Promise<PendingOpen[]> {
  const path = join(runDirectory, LOCK_FILE);
  if (!existsSync(path)) return [];
  await using file = OwnedFd.openSync(path, O_RDONLY);
  const positions = listLockedBytes(file, FIRST, LAST);
  if (positions === undefined) throw lockedAsWhole(file);
  return positions.map(openOfPosition);
}

/** Lists those that blkback may still make for one vbd. Throws as `listPendingOpens` does. */
export async function listPendingOpensFor(
  runDirectory: string,
  vbd: VbdPath,
): Promise<PendingOpen[]> {
  return (await listPendingOpens(runDirectory)).filter((open) => isOpenFor(open, vbd));
}

function lockedAsWhole({ name }: OwnedFd): SharingError {
  return new SharingError(`another program has locked ${name} as a whole`, { code: 'ELOCK' });
}

/** What vbds have, and what blkback may still open for them. */
export interface UsesAndOpens {
  readonly uses: readonly VbdUse[];
  readonly pending: readonly PendingOpen[];
}

/** What `listUsesAndOpens` looks for. */
export interface UsesQuery {
  readonly runDirectory: string;
  readonly signal: AbortSignal;
  /** The device numbers whose uses are listed. By default, all uses are listed. */
  readonly numbers?: readonly Devnum[] | undefined;
}

/**
 * Lists what vbds have, and before and after that the opens that blkback may still make. A device
 * that blkback opens after the first list is among the uses. A `remove` announces the open before it
 * takes the publication back, and until blkback has closed the device. So a device whose publication
 * is taken back after the first list is in the last one. Throws as `VbdUses.list` and `listPendingOpens` do.
 */
export async function listUsesAndOpens(
  vbdUses: VbdUses,
  { runDirectory, signal, numbers }: UsesQuery,
): Promise<UsesAndOpens> {
  const before = await listPendingOpens(runDirectory);
  const isExplained = (vbd: VbdPath): boolean => before.some((open) => isOpenFor(open, vbd));
  const uses = await vbdUses.list({ signal, isExplained, numbers });
  const after = await listPendingOpens(runDirectory);
  return { uses, pending: [...before, ...after] };
}

/** Returns the position of the byte that stands for an open. Pure. */
export function positionOfOpen({ devnum, domid, writable, devid }: PendingOpen): bigint {
  const fields: readonly (readonly [number, number])[] = [
    [devnum.major, 12],
    [devnum.minor, 20],
    [domid, 15],
    [writable ? 1 : 0, 1],
    [devid % DEVIDS, 14],
  ];
  const code = fields.reduce(
    (bits, [value, width]) => (bits << BigInt(width)) | BigInt.asUintN(width, BigInt(value)),
    0n,
  );
  return FIRST | code;
}

function openOfPosition(position: bigint): PendingOpen {
  const field = (shift: number, width: number): number =>
    Number(BigInt.asUintN(width, position >> BigInt(shift)));
  return {
    devnum: { major: field(50, 12), minor: field(30, 20) },
    domid: field(15, 15),
    writable: field(14, 1) === 1,
    devid: field(0, 14),
  };
}

/** Returns the pending opens that no known use of a vbd explains. Pure. */
export function unexplainedOpens(
  pending: readonly PendingOpen[],
  uses: readonly VbdUse[],
): PendingOpen[] {
  if (pending.length === 0) return [];
  const explained = new Set(uses.map(positionOfUse));
  return pending.filter((open) => !explained.has(positionOfOpen(open)));
}

/** Returns whether blkback may still open the device that a vbd names. Pure. */
export function isPending(pending: readonly PendingOpen[], use: VbdUse): boolean {
  const position = positionOfUse(use);
  return pending.some((open) => positionOfOpen(open) === position);
}

function positionOfUse({ vbd: { domid, devid }, devnum, writable }: VbdUse): bigint {
  return positionOfOpen({ devnum, domid, writable, devid });
}

/**
 * Returns whether the open is for this vbd. Another add of the vbd may have announced it, or an add
 * of an earlier vbd with the same numbers. Pure.
 */
export function isOpenFor({ domid, devid }: PendingOpen, vbd: VbdPath): boolean {
  return domid === vbd.domid && devid === vbd.devid % DEVIDS;
}

/**
 * Finds the pending opens that forbid an export of these bytes. A remove announces opens for writing
 * only, and holds nothing: the number may be that of another device by now, which the guest was never
 * to have. So an open for writing forbids the export whatever both do.
 */
export async function findPendingUses(
  snapshot: StorageSnapshot,
  pending: readonly PendingOpen[],
  wanted: {
    readonly extents: readonly Extent[];
    readonly clashes: (access: Access, extents: readonly Extent[]) => boolean;
  },
): Promise<UnexplainedUse[]> {
  const found: UnexplainedUse[] = [];
  for (const { devnum, domid, writable } of pending) {
    const access = writable ? 'read-write' : 'read-only';
    const reach = await snapshot.reachWithin(devnum, wanted.extents);
    if (reach === undefined) continue;
    const isHarmful = writable
      ? overlap(wanted.extents, reach.extents)
      : wanted.clashes(access, reach.extents);
    if (!isHarmful) continue;
    const path = snapshot.block(devnum)?.path ?? `${devnum.major}:${devnum.minor}`;
    found.push({ kind: 'unexplained', access, path, devnum, processes: [], pendingFor: domid });
  }
  return found;
}
