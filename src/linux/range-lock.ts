import { fcntlSync } from './calls.js';
import { isSystemError } from './errno.js';
import type { OwnedFd } from './fd.js';

// asm-generic/fcntl.h; the same on every 64-bit platform.
const F_OFD_GETLK = { name: 'F_OFD_GETLK', number: 36 };
const F_OFD_SETLK = { name: 'F_OFD_SETLK', number: 37 };
const [F_RDLCK, F_WRLCK, F_UNLCK, SEEK_SET] = [0, 1, 2, 0];
// struct flock: short type, short whence, off_t start, off_t len, pid_t pid. For this kind of lock
// pid is 0.
const FLOCK_SIZE = 32;

/**
 * Tries to lock one byte of a file, which may lie beyond the end of the file. Returns `false` if
 * another user has a conflicting lock. The lock belongs to the open file description (fcntl(2),
 * Linux 3.15 and later). It ends with the last close of this description, at the latest with the
 * process, and excludes other descriptions of the same process too. Throws `SystemError`.
 */
export function tryLockByte(file: OwnedFd, position: bigint, exclusive: boolean): boolean {
  const flock = makeFlock(exclusive ? F_WRLCK : F_RDLCK, position, 1n);
  try {
    fcntlSync(file.fd, F_OFD_SETLK, flock, file.name);
    return true;
  } catch (error) {
    // fcntl(2): a conflicting lock is reported with either code.
    if (isSystemError(error, 'EAGAIN', 'EACCES')) return false;
    throw error;
  }
}

/**
 * Lists the bytes from `first` to `last` that other open file descriptions have locked, each with a
 * lock of its own. Returns `undefined` if a lock covers more than one byte: such a lock does not
 * tell which bytes are meant. The kernel tells of one lock per call, in no order (fs/locks.c,
 * posix_test_lock), so the ranges on both sides of a lock are asked for again. Throws
 * `SystemError`.
 */
export function listLockedBytes(file: OwnedFd, first: bigint, last: bigint): bigint[] | undefined {
  const found: bigint[] = [];
  const ranges = [{ first, last }];
  for (let range = ranges.pop(); range !== undefined; range = ranges.pop()) {
    if (range.first > range.last) continue;
    const flock = makeFlock(F_WRLCK, range.first, range.last - range.first + 1n);
    fcntlSync(file.fd, F_OFD_GETLK, flock, file.name);
    if (flock.readInt16LE(0) === F_UNLCK) continue;
    const [position, length] = [flock.readBigInt64LE(8), flock.readBigInt64LE(16)];
    if (length !== 1n) return undefined;
    found.push(position);
    ranges.push(
      { first: range.first, last: position - 1n },
      { first: position + 1n, last: range.last },
    );
  }
  return found;
}

function makeFlock(type: number, start: bigint, length: bigint): Buffer {
  const flock = Buffer.alloc(FLOCK_SIZE);
  flock.writeInt16LE(type, 0);
  flock.writeInt16LE(SEEK_SET, 2);
  flock.writeBigInt64LE(start, 8);
  flock.writeBigInt64LE(length, 16);
  return flock;
}
