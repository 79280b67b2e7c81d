import { statxFromMemory } from './calls.js';
import { type Devnum, sameDevnum } from './devnum.js';
import { decodeStatx, type Inode } from './file-stat.js';

// struct statx of linux/stat.h.
const BUFFER = Buffer.alloc(256);
const [MODE, INODE, RDEV_MAJOR, RDEV_MINOR, DEV_MAJOR, DEV_MINOR] = [28, 32, 128, 132, 136, 140];
const [S_IFMT, S_IFBLK] = [0o170000, 0o060000];

/**
 * Returns the number of the block device that a descriptor of some process refers to, `undefined`
 * for any other file. The text of the link is not used, because a device may be open under any
 * name. Nothing is opened and no file server is asked, so that a descriptor on a dead server does
 * not block.
 *
 * @param link a link below /proc/<pid>/fd.
 */
export function readOpenDevice(link: string): Devnum | undefined {
  if (!statxFromMemory(link, BUFFER)) return undefined;
  if ((BUFFER.readUInt16LE(MODE) & S_IFMT) !== S_IFBLK) return undefined;
  return { major: BUFFER.readUInt32LE(RDEV_MAJOR), minor: BUFFER.readUInt32LE(RDEV_MINOR) };
}

/**
 * Tells whether a descriptor of some process refers to the file with this device and inode number.
 * Asks no file server either.
 */
export function isOpenFile(link: string, device: Devnum, inode: bigint): boolean {
  if (!statxFromMemory(link, BUFFER) || BUFFER.readBigUInt64LE(INODE) !== inode) return false;
  const found = { major: BUFFER.readUInt32LE(DEV_MAJOR), minor: BUFFER.readUInt32LE(DEV_MINOR) };
  return sameDevnum(found, device);
}

/**
 * Returns the file or device that a descriptor of some process refers to, `undefined` for a
 * descriptor that has been closed. Asks no file server either.
 */
export function readOpenInode(link: string): Inode | undefined {
  return statxFromMemory(link, BUFFER) ? decodeStatx(BUFFER) : undefined;
}
