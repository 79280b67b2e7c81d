import { ERRNO } from '../util/errno.js';
import { type Devnum, parseDevnum } from './devnum.js';
import { SystemError } from './errno.js';
import { readMemoryFile } from './memory-file.js';

/** A record lock (fcntl(2)) of some process on a file. */
export interface FileLock {
  readonly exclusive: boolean;
  /**
   * Device number of the file system as in mountinfo. For btrfs it differs from the number of
   * stat(2).
   */
  readonly devnum: Devnum;
  readonly inode: bigint;
  readonly start: bigint;
  /** The last locked byte; `undefined` if the lock has no end. */
  readonly end: bigint | undefined;
  /**
   * The process; `undefined` for a lock of an open file description, which several processes may
   * share.
   */
  readonly pid: number | undefined;
}

/**
 * Lists the record locks of this machine (proc(5), /proc/locks), which are in memory. F_OFD_GETLK
 * tells the same of a single file, but asks the server of the file. Throws `SystemError`.
 */
export function readFileLocks(): FileLock[] {
  const path = '/proc/locks';
  const text = readMemoryFile(path);
  if (text === undefined) throw SystemError.fromErrno('read', path, ERRNO.ENOENT);
  return parseFileLocks(text);
}

/**
 * Lists the record locks that a process holds through one of its descriptors (proc(5),
 * /proc/pid/fdinfo). Lists none for a descriptor that has been closed. Throws `SystemError`.
 */
export function readLocksOf(pid: number, fd: string): FileLock[] {
  const text = readMemoryFile(`/proc/${pid}/fdinfo/${fd}`) ?? '';
  return text.includes('lock:') ? parseFileLocks(text) : [];
}

const LINE =
  /^(?:lock:\t)?\d+: (?:POSIX|OFDLCK) +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) (\d+) (\d+|EOF)/gm;

/**
 * Reads the text of /proc/locks, or the locks in the text of a file in fdinfo. Requests that wait for
 * a lock, leases and locks of flock(2) are left out. Pure.
 */
export function parseFileLocks(text: string): FileLock[] {
  return [...text.matchAll(LINE)].flatMap(
    ([, mode, pid, major = '', minor = '', inode = '', start = '', end = '']) => {
      const devnum = parseDevnum(`${Number.parseInt(major, 16)}:${Number.parseInt(minor, 16)}`);
      if (devnum === undefined) return [];
      return [
        {
          exclusive: mode === 'WRITE',
          devnum,
          inode: BigInt(inode),
          start: BigInt(start),
          end: end === 'EOF' ? undefined : BigInt(end),
          pid: Number(pid) > 0 ? Number(pid) : undefined,
        },
      ];
    },
  );
}
