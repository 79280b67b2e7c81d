import { formatDevnum } from '../linux/devnum.js';
import { throwShortage } from '../linux/errno.js';
import { type FileLock, readLocksOf } from '../linux/file-locks.js';
import { type Inode, isBlockDevice, isRegularFile } from '../linux/file-stat.js';
import { readOpenInode } from '../linux/open-device.js';
import { yieldToLoop } from '../util/yield-to-loop.js';
import { describeOpener, type FileOpener } from './file-openers.js';
import { listDirectory, listPids } from './process.js';

/** A process that holds record locks. */
export interface LockHolder extends FileOpener {
  /** The file or device that the process has open, as stat(2) shows it. */
  readonly file: Inode;
  /** The locks that the process holds on it. */
  readonly locks: readonly FileLock[];
}

/**
 * Finds the processes other than this one that visibly hold some of these locks, by their
 * descriptors. The kernel names a locked file by numbers that stat(2) may not show, while a
 * descriptor leads to the file itself. No file server is asked.
 */
export async function listLockHolders(locks: readonly FileLock[]): Promise<LockHolder[]> {
  const wanted = new Set(locks.map(lockKey));
  const found: LockHolder[] = [];
  for (const pid of listPids()) {
    await yieldToLoop();
    if (Number(pid) === process.pid) continue;
    for (const fd of listDirectory(`/proc/${pid}/fd`)) {
      const link = `/proc/${pid}/fd/${fd}`;
      const file = readOpenInode(link);
      if (file === undefined || !(isRegularFile(file) || isBlockDevice(file))) continue;
      const held = readLocks(pid, fd).filter((lock) => wanted.has(lockKey(lock)));
      if (held.length === 0) continue;
      found.push({ ...(await describeOpener(pid, link)), file, locks: held });
    }
  }
  return found;
}

/** Returns a text that is the same for all locks of one file, and different for other files. */
export function lockKey({ devnum, inode }: Pick<FileLock, 'devnum' | 'inode'>): string {
  return `${formatDevnum(devnum)}:${inode}`;
}

function readLocks(pid: string, fd: string): FileLock[] {
  try {
    return readLocksOf(Number(pid), fd);
  } catch (error) {
    // The process hides its descriptors, or has just ended.
    throwShortage('open', `/proc/${pid}/fdinfo/${fd}`, error);
    return [];
  }
}
