import { ERRNO } from '../util/errno.js';
import { type Devnum, parseDevnum } from './devnum.js';
import { SystemError } from './errno.js';
import { readMemoryFile } from './memory-file.js';

/** A record lock (fcntl(2)) that some process has on a file. */
export interface FileLock {
  readonly exclusive: boolean;
  /** Of the file system, as mountinfo has it: not what stat(2) says for btrfs. */
  readonly devnum: Devnum;
  readonly inode: bigint;
  readonly start: bigint;
  /** The last byte; `undefined` for all that may come. */
  readonly end: bigint | undefined;
  /** `undefined` for a lock of an open file description, which several processes may have. */
  readonly pid: number | undefined;
}

/**
 * The record locks of this machine (proc(5), /proc/locks). Memory answers: F_OFD_GETLK tells the same of
 * one file, and asks its server. Throws `SystemError`.
 */
export function readFileLocks(): FileLock[] {
  const path = '/proc/locks';
  const text = readMemoryFile(path);
  if (text === undefined) throw SystemError.fromErrno('read', path, ERRNO.ENOENT);
  return parseFileLocks(text);
}

const LINE =
  /^\d+: (?:POSIX|OFDLCK) +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) (\d+) (\d+|EOF)/gm;

/** Reads that text; what waits for a lock, leases and flock(2) are left out. Pure. */
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
