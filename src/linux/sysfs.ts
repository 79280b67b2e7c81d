import { type Dirent, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ERRNO } from '../util/errno.js';
import { decodePath } from '../util/path-bytes.js';
import { type Devnum, formatDevnum, parseDevnum } from './devnum.js';
import { SystemError, throwShortage } from './errno.js';
import { readMemoryFile, readMemoryLink } from './memory-file.js';

/** A block device as sysfs shows it. */
export interface SysfsBlock {
  /** The directory of the device in /sys/devices. */
  readonly directory: string;
  /** Partition number; `undefined` for a whole disk. */
  readonly partition: number | undefined;
  /** The directory of the whole disk; a whole disk's own directory. */
  readonly diskDirectory: string;
}

/**
 * Finds a block device by number. Throws `SystemError` with the code `ENOENT` if the kernel has no
 * such device.
 */
export function findBlock(devnum: Devnum): SysfsBlock {
  const block = lookUpBlock(devnum);
  if (block !== undefined) return block;
  throw SystemError.fromErrno('open', blockLink(devnum), ERRNO.ENOENT);
}

/** Finds a block device by number. Returns `undefined` if the kernel has no such device. */
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

/**
 * Returns the text of an attribute without the newline, `undefined` if there is no such attribute
 * (any more) or it cannot be read. Throws `SystemError` for want of descriptors or memory only.
 */
export function readAttribute(directory: string, name: string): string | undefined {
  try {
    return readMemoryFile(`${directory}/${name}`)?.trimEnd();
  } catch (error) {
    throwShortage('read', `${directory}/${name}`, error);
    return undefined;
  }
}

/**
 * Returns the path of a loop device's file as `decodePath` makes it, `undefined` if there is no
 * file. The path may end in ` (deleted)`. Only the newline at the end is removed, because a path
 * may end in blanks. Throws `SystemError` for want of descriptors or memory only.
 */
export function readBackingPath(directory: string): string | undefined {
  try {
    return decodePath(readFileSync(join(directory, 'loop/backing_file')).subarray(0, -1));
  } catch (error) {
    throwShortage('read', join(directory, 'loop/backing_file'), error);
    return undefined;
  }
}

/** Returns the device number of a sysfs block directory, `undefined` for any other directory. */
export function readDevnum(directory: string): Devnum | undefined {
  const text = readAttribute(directory, 'dev');
  return text === undefined ? undefined : parseDevnum(text);
}

/** Lists the directories of all whole disks. */
export function listDisks(): string[] {
  return readdirSync('/sys/block').map((name) => join('/sys/block', name));
}

/** Lists the directories of a disk's partitions. */
export function listPartitions(diskDirectory: string): string[] {
  // The name of a partition's directory is the disk's name with a number.
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

/**
 * Returns the path of the device node by the kernel's own name, `/dev/…` (`DEVNAME` of the uevent).
 * Returns `undefined` if there is none.
 */
export function readDevname(directory: string): string | undefined {
  const uevent = readAttribute(directory, 'uevent');
  const name = /^DEVNAME=(.+)$/m.exec(uevent ?? '')?.[1];
  return name === undefined ? undefined : `/dev/${name}`;
}

/**
 * Asks the kernel for a `change` uevent. Errors are ignored, because the event only makes udev look
 * at the device again.
 */
export function requestChangeUevent(directory: string): void {
  try {
    writeFileSync(join(directory, 'uevent'), 'change');
  } catch {
    // The device has gone away, or sysfs is read-only here.
  }
}
