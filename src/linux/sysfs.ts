import { type Dirent, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Devnum, formatDevnum, parseDevnum } from './devnum.js';
import { SystemError, throwShortage } from './errno.js';

// sysfs is memory: what is read of it here is read at once. Through Node's thread pool each of the
// three or four calls of a read would cost many times its own time.

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
export async function findBlock(devnum: Devnum): Promise<SysfsBlock> {
  const link = `/sys/dev/block/${formatDevnum(devnum)}`;
  let directory: string;
  try {
    directory = join(dirname(link), readlinkSync(link));
  } catch (error) {
    throw SystemError.fromNode('open', link, error);
  }
  const partition = await readAttribute(directory, 'partition');
  return {
    directory,
    partition: partition === undefined ? undefined : Number(partition),
    diskDirectory: partition === undefined ? directory : dirname(directory),
  };
}

/** An attribute's text without the newline; `undefined` where there is no such attribute (any more). */
export async function readAttribute(directory: string, name: string): Promise<string | undefined> {
  const path = join(directory, name);
  // The exception would cost more than the question.
  if (!existsSync(path)) return undefined;
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (error) {
    throwShortage('read', path, error);
    return undefined;
  }
}

/** The device number of a sysfs block directory, if it is one. */
export async function readDevnum(directory: string): Promise<Devnum | undefined> {
  const text = await readAttribute(directory, 'dev');
  return text === undefined ? undefined : parseDevnum(text);
}

/** Directories of all whole disks. */
export async function listDisks(): Promise<string[]> {
  return readdirSync('/sys/block').map((name) => join('/sys/block', name));
}

/** Directories of a disk's partitions. */
export async function listPartitions(diskDirectory: string): Promise<string[]> {
  // A partition's directory bears the disk's name and a number.
  const disk = basename(diskDirectory);
  return readEntries(diskDirectory)
    .filter((entry) => entry.isDirectory() && entry.name.startsWith(disk))
    .map((entry) => join(diskDirectory, entry.name));
}

function readEntries(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch (error) {
    throwShortage('open', directory, error);
    return [];
  }
}

/** The kernel's own name of the device node, `/dev/…` (`DEVNAME` of its uevent). */
export async function readDevname(directory: string): Promise<string | undefined> {
  const uevent = await readAttribute(directory, 'uevent');
  const name = /^DEVNAME=(.+)$/m.exec(uevent ?? '')?.[1];
  return name === undefined ? undefined : `/dev/${name}`;
}

/** Asks the kernel for a `change` uevent. Best effort: it only makes udev look again. */
export async function requestChangeUevent(directory: string): Promise<void> {
  await writeFile(join(directory, 'uevent'), 'change').catch(() => undefined);
}
