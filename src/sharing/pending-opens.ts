import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Devnum } from '../linux/devnum.js';
import { O_RDONLY, OwnedFd } from '../linux/fd.js';
import { listLockedBytes, tryLockByte } from '../linux/range-lock.js';
import type { Extent } from '../topology/extent.js';
import type { Access, UnexplainedUse } from '../topology/local-use.js';
import type { StorageSnapshot } from '../topology/storage-snapshot.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { VbdUse } from '../vbd/vbd-uses.js';
import { SharingError } from './sharing-error.js';
import { LOCK_FILE, openLockFile } from './storage-locks.js';

/**
 * An open that blkback may still make. blkback reads the number of a device in one step and opens
 * the device in another one. If the nodes are deleted in between, neither XenStore nor sysfs tells
 * of it, and who has a disk open no driver but the loop driver and device-mapper tells either.
 */
export interface PendingOpen {
  readonly devnum: Devnum;
  readonly domid: number;
  readonly writable: boolean;
  /** A number made of the vbd's own, which has more bits than there is room for. */
  readonly devid: number;
}

/** All bytes of the lock file above those that are locked for the storage (`positionOf`). */
const FIRST = 1n << 62n;
const LAST = (1n << 63n) - 1n;
/** A prime number below 2^14: the vbds of one guest, whose numbers are multiples of 16, differ. */
const DEVIDS = 16381;

/**
 * Says that blkback may open a device from now on, until the descriptor is closed: by this process,
 * or by a child that has inherited it. Two adds of one vbd may say the same. Throws `ELOCK`.
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
    throw new SharingError(`another program has locked ${file.name} as a whole`, { code: 'ELOCK' });
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** What blkback may still open. Throws `SystemError`. */
export async function listPendingOpens(runDirectory: string): Promise<PendingOpen[]> {
  const path = join(runDirectory, LOCK_FILE);
  if (!existsSync(path)) return [];
  await using file = OwnedFd.openSync(path, O_RDONLY);
  return listLockedBytes(file, FIRST, LAST).map(openOfPosition);
}

/** The byte that stands for an open. Pure. */
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

/** The pending opens that no known use of a vbd explains. Pure. */
export function unexplainedOpens(
  pending: readonly PendingOpen[],
  uses: readonly VbdUse[],
): PendingOpen[] {
  if (pending.length === 0) return [];
  const explained = new Set(uses.map(positionOfUse));
  return pending.filter((open) => !explained.has(positionOfOpen(open)));
}

/** Whether blkback may still open what a vbd names. Pure. */
export function isPending(pending: readonly PendingOpen[], use: VbdUse): boolean {
  const position = positionOfUse(use);
  return pending.some((open) => positionOfOpen(open) === position);
}

function positionOfUse({ vbd: { domid, devid }, devnum, writable }: VbdUse): bigint {
  return positionOfOpen({ devnum, domid, writable, devid });
}

/** Whether it is an open for this very vbd: by another add of it, or for one that was there before. */
export function isOpenFor({ domid, devid }: PendingOpen, vbd: VbdPath): boolean {
  return domid === vbd.domid && devid === vbd.devid % DEVIDS;
}

/** Finds the pending opens that forbid an export which has these bytes. */
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
    if (reach === undefined || !wanted.clashes(access, reach.extents)) continue;
    const path = snapshot.block(devnum)?.path ?? `${devnum.major}:${devnum.minor}`;
    found.push({ kind: 'unexplained', access, path, devnum, processes: [], pendingFor: domid });
  }
  return found;
}
