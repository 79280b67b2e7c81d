import { statxFromMemory } from './calls.js';
import { type Devnum, sameDevnum } from './devnum.js';

// struct statx of linux/stat.h.
const BUFFER = Buffer.alloc(256);
const [MODE, INODE, RDEV_MAJOR, RDEV_MINOR, DEV_MAJOR, DEV_MINOR] = [28, 32, 128, 132, 136, 140];
const [S_IFMT, S_IFBLK] = [0o170000, 0o060000];

/**
 * The number of the block device that a descriptor of some process refers to; `undefined` for anything
 * else. The link is not read: a device may be open under any name. Nothing is opened, and no file server
 * is asked, so that a descriptor on one that is gone does not block.
 *
 * @param link below /proc/<pid>/fd.
 */
export function readOpenDevice(link: string): Devnum | undefined {
  if (!statxFromMemory(link, BUFFER)) return undefined;
  if ((BUFFER.readUInt16LE(MODE) & S_IFMT) !== S_IFBLK) return undefined;
  return { major: BUFFER.readUInt32LE(RDEV_MAJOR), minor: BUFFER.readUInt32LE(RDEV_MINOR) };
}

/** Whether a descriptor of some process refers to the file of this number; asks nobody either. */
export function isOpenFile(link: string, device: Devnum, inode: bigint): boolean {
  if (!statxFromMemory(link, BUFFER) || BUFFER.readBigUInt64LE(INODE) !== inode) return false;
  const found = { major: BUFFER.readUInt32LE(DEV_MAJOR), minor: BUFFER.readUInt32LE(DEV_MINOR) };
  return sameDevnum(found, device);
}
