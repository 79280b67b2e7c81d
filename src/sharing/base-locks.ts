import { constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../errors.js';
import { O_RDWR, OwnedFd } from '../linux/fd.js';
import { isInMemory } from '../linux/memory-file.js';
import { tryLockByte } from '../linux/range-lock.js';
import { baseKey, type Extent } from '../topology/extent.js';
import { POOL } from '../topology/mapper-segments.js';
import { handOver } from '../util/hand-over.js';
import { poll } from '../util/poll.js';
import { SharingError } from './sharing-error.js';

/** The lock of a base, by its key. */
export interface BaseLock {
  readonly key: string;
  readonly exclusive: boolean;
}

/**
 * One file for all; what is locked is a byte of it for each base, and one for each open that blkback may
 * still make (`markPendingOpen`).
 */
export const LOCK_FILE = 'sharing.lock';

/**
 * Keeps others from checking and publishing an export of the same bases until it is disposed, or this
 * process ends in any way. Locks that are not `exclusive` keep out exclusive ones only. Exports that
 * meet on no base do not wait for each other, but for two bases whose keys have one hash: then they
 * wait in vain, and no harm is done. Rejects with the signal's reason; `ELOCK` where no lock is to be had.
 *
 * They are taken in the order that is the same for everybody.
 */
export async function lockBases(
  runDirectory: string,
  locks: readonly BaseLock[],
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  return await handOver(openLockFile(runDirectory), async (file) => {
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
 * What an export has to lock: a base that it writes for itself alone. What volumes of one thin pool have
 * beneath the pool they do not keep from each other, only from those who come to it by another way. Pure.
 */
export function locksOf(extents: readonly Extent[], writes: boolean): BaseLock[] {
  const locks = new Map<string, boolean>();
  for (const { base, beneath = [], readOnly } of extents) {
    const key = baseKey(base);
    const isApart = beneath.some((device) => device.startsWith(POOL));
    locks.set(key, locks.get(key) || (writes && !readOnly && !isApart));
  }
  return [...locks].map(([key, exclusive]) => ({ key, exclusive }));
}

/** Makes it where it is missing. Throws `ELOCK`. */
export function openLockFile(runDirectory: string): OwnedFd {
  const path = join(runDirectory, LOCK_FILE);
  try {
    if (!isInMemory(runDirectory)) mkdirSync(runDirectory, { recursive: true, mode: 0o700 });
    return OwnedFd.openSync(path, O_RDWR | constants.O_CREAT);
  } catch (error) {
    throw new SharingError(
      `whether others use the device cannot be decided without the lock ${path}: ${errorMessage(error)}`,
      { code: 'ELOCK', cause: error },
    );
  }
}

/** FNV-1a, cut to half of what an off_t holds. */
export function positionOf(key: string): bigint {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(key)) {
    hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  }
  return hash >> 2n;
}
