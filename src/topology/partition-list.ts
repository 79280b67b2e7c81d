import { type Devnum, devnumKey } from '../linux/devnum.js';
import { SystemError } from '../linux/errno.js';
import { readMemoryFile } from '../linux/memory-file.js';
import { ERRNO } from '../util/errno.js';
import { isReadOnly } from './stacked-block.js';

/** Lists the loop devices that have bytes: all of them, or only the writable ones. */
export function listBoundLoops(readers: boolean): Devnum[] {
  const loops = [...parseLoops(readPartitionList())].map(([, devnum]) => devnum);
  return readers ? loops : loops.filter((devnum) => !isReadOnly(devnum));
}

/**
 * Reads the kernel's list of devices: a line for each device that has bytes (block/genhd.c,
 * show_partition). Throws `SystemError`.
 */
export function readPartitionList(): string {
  const path = '/proc/partitions';
  const text = readMemoryFile(path);
  if (text === undefined) throw SystemError.fromErrno('read', path, ERRNO.ENOENT);
  return text;
}

/** Returns the loop devices in the text of the list, by their keys (`devnumKey`). Pure. */
export function parseLoops(partitions: string): Map<number, Devnum> {
  const loops = new Map<number, Devnum>();
  for (const [, major, minor] of partitions.matchAll(/^ *(\d+) +(\d+) +\d+ loop\d+$/gm)) {
    const devnum = { major: Number(major), minor: Number(minor) };
    loops.set(devnumKey(devnum), devnum);
  }
  return loops;
}
