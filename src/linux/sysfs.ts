import { type Dirent, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ERRNO } from '../util/errno.js';
import { decodePath } from '../util/path-bytes.js';
import { type Devnum, formatDevnum, parseDevnum } from './devnum.js';
import { SystemError, throwShortage } from './errno.js';
import { readMemoryFile, readMemoryLink } from './memory-file.js';

/** A block device as sysfs shows it. */
export interface SysfsBlock {
  /** Directory in /sys/devices. */
  readonly directory: string;
  /** Partition number; `undefined` for a whole disk. */
  readonly partition: number | undefined;
  /** Directory of the whole disk; its own for a whole disk. */
  readonly diskDirectory: string;
}

/** Finds a block device by number. Throws `ENOENT` where the kernel has none. */
export function findBlock(devnum: Devnum): SysfsBlock {
  const block = lookUpBlock(devnum);
  if (block !== undefined) return block;
  throw SystemError.fromErrno('open', blockLink(devnum), ERRNO.ENOENT);
}

/** The same; `undefined` where the kernel has none. */
export function lookUpBlock(devnum: Devnum): SysfsBlock | undefined {
  const target = readMemoryLink(blockLink(devnum));
  if (target === undefined) return undefined;
  const directory = join('/sys/dev/block', target);
  const partition = readAttribute(directory, 'partition');
  return {
    directory,
    partition: partition === undefined ? undefined : Number(partition),
    diskDirectory: partition === undefined ? directory : dirname(directory),
  };
}

function blockLink(devnum: Devnum): string {
  return `/sys/dev/block/${formatDevnum(devnum)}`;
}

/** An attribute's text without the newline; `undefined` where there is no such attribute (any more). */
export function readAttribute(directory: string, name: string): string | undefined {
  try {
    return readMemoryFile(`${directory}/${name}`)?.trimEnd();
  } catch (error) {
    throwShortage('read', `${directory}/${name}`, error);
    return undefined;
  }
}

/**
 * The path of a loop device's file, as `decodePath` makes it; `undefined` where it has none. It may end in
 * ` (deleted)`. What stands before the newline is the kernel's: a path may end in blanks, too.
 */
export function readBackingPath(directory: string): string | undefined {
  try {
    return decodePath(readFileSync(join(directory, 'loop/backing_file')).subarray(0, -1));
  } catch (error) {
    throwShortage('read', join(directory, 'loop/backing_file'), error);
    return undefined;
  }
}

/** The device number of a sysfs block directory, if it is one. */
export function readDevnum(directory: string): Devnum | undefined {
  const text = readAttribute(directory, 'dev');
  return text === undefined ? undefined : parseDevnum(text);
}

/** Directories of all whole disks. */
export function listDisks(): string[] {
  return readdirSync('/sys/block').map((name) => join('/sys/block', name));
}

/** Directories of a disk's partitions. */
export function listPartitions(diskDirectory: string): string[] {
  // A partition's directory bears the disk's name and a number.
  const disk = basename(diskDirectory);
  return listEntries(diskDirectory)
    .filter((entry) => entry.isDirectory() && entry.name.startsWith(disk))
    .map((entry) => join(diskDirectory, entry.name));
}

function listEntries(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    throwShortage('open', directory, error);
    return [];
  }
}

/** The kernel's own name of the device node, `/dev/…` (`DEVNAME` of its uevent). */
export function readDevname(directory: string): string | undefined {
  const uevent = readAttribute(directory, 'uevent');
  const name = /^DEVNAME=(.+)$/m.exec(uevent ?? '')?.[1];
  return name === undefined ? undefined : `/dev/${name}`;
}

/** Asks the kernel for a `change` uevent. Best effort: it only makes udev look again. */
export function requestChangeUevent(directory: string): void {
  try {
    writeFileSync(join(directory, 'uevent'), 'change');
  } catch {
    // The device has gone away, or sysfs is read-only here.
  }
}
