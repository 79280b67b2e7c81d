import { constants } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../errors.js';
import { O_RDWR, OwnedFd } from '../linux/fd.js';
import { makeDirectory } from '../linux/make-directory.js';
import { tryLockByte } from '../linux/range-lock.js';
import { type Extent, storageKey } from '../topology/extent.js';
import { POOL } from '../topology/mapper-targets.js';
import { poll } from '../util/poll.js';
import { withOwnership } from '../util/with-ownership.js';
import { SharingError } from './sharing-error.js';

/** The lock that an export takes on one piece of storage. The key names the storage. */
export interface StorageLock {
  readonly key: string;
  readonly exclusive: boolean;
}

/**
 * All exports share this one file. One byte in it stands for each piece of storage, and one for
 * each open that blkback may still make (`markPendingOpen`).
 */
export const LOCK_FILE = 'sharing.lock';

/**
 * Locks storage, so that no other export of the same storage is checked and published meanwhile.
 * The locks last until the result is disposed, or until this process ends in any way.
 *
 * A lock that is not `exclusive` keeps out exclusive locks only. Exports that have no storage in
 * common do not wait for each other. The only exception is two pieces of storage whose keys have
 * the same hash: one export then waits needlessly, which does no harm.
 *
 * Everybody takes the locks in the same order, so that no two exports wait for each other. Rejects
 * with the signal's reason, with `ELOCK` if the lock file cannot be opened, and with `SystemError`
 * if the kernel refuses a lock.
 */
export async function lockStorage(
  runDirectory: string,
  locks: readonly StorageLock[],
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  return await withOwnership(openLockFile(runDirectory), async (file) => {
    const wanted = new Map<bigint, boolean>();
    for (const { key, exclusive } of locks) {
      const position = positionOf(key);
      wanted.set(position, exclusive || (wanted.get(position) ?? false));
    }
    for (const [position, exclusive] of [...wanted].sort(([a], [b]) => (a < b ? -1 : 1))) {
      await poll(signal, async () => tryLockByte(file, position, exclusive) || undefined);
    }
    return file;
  });
}

/**
 * Returns the locks that an export needs. The lock on a piece of storage is exclusive if the export
 * writes to the storage for itself alone. Volumes of one thin pool share what lies beneath the
 * pool, so their locks on those pieces of storage are not exclusive: they keep out only exports
 * that reach such storage in another way. Pure.
 */
export function locksOf(extents: readonly Extent[], writes: boolean): StorageLock[] {
  const locks = new Map<string, boolean>();
  for (const { storage, beneath = [], readOnly } of extents) {
    const key = storageKey(storage);
    const isApart = beneath.some((device) => device.startsWith(POOL));
    locks.set(key, locks.get(key) || (writes && !readOnly && !isApart));
  }
  return [...locks].map(([key, exclusive]) => ({ key, exclusive }));
}

/** Opens the lock file, and makes it if it does not exist. Throws `ELOCK`. */
export function openLockFile(runDirectory: string): OwnedFd {
  const path = join(runDirectory, LOCK_FILE);
  try {
    makeDirectory(runDirectory);
    return OwnedFd.openSync(path, O_RDWR | constants.O_CREAT);
  } catch (error) {
    throw new SharingError(
      `whether others use the device cannot be decided without the lock ${path}: ${errorMessage(error)}`,
      { code: 'ELOCK', cause: error },
    );
  }
}

/**
 * Returns the position of the byte that stands for a piece of storage: the FNV-1a hash of its key,
 * shortened to 62 bits. The other half of what an off_t holds stands for opens (pending-opens.ts).
 */
export function positionOf(key: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(key)) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return hash >> 2n;
}
