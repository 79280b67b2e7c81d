import { fcntlSync } from './calls.js';
import { isSystemError } from './errno.js';
import type { OwnedFd } from './fd.js';

// asm-generic/fcntl.h; the same on every 64-bit platform.
const F_OFD_SETLK = { name: 'F_OFD_SETLK', number: 37 };
const [F_RDLCK, F_WRLCK, SEEK_SET] = [0, 1, 0];
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
  const flock = Buffer.alloc(FLOCK_SIZE);
  flock.writeInt16LE(exclusive ? F_WRLCK : F_RDLCK, 0);
  flock.writeInt16LE(SEEK_SET, 2);
  flock.writeBigInt64LE(position, 8);
  flock.writeBigInt64LE(1n, 16);
  try {
    fcntlSync(file.fd, F_OFD_SETLK, flock, file.name);
    return true;
  } catch (error) {
    // fcntl(2): a conflicting lock is reported with either code.
    if (isSystemError(error, 'EAGAIN', 'EACCES')) return false;
    throw error;
  }
}
