import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import {
  listDisks,
  listPartitions,
  readAttribute,
  readDevname,
  readDevnum,
} from '../linux/sysfs.js';
import { BlockError } from './block-error.js';
import { pinPath } from './open-path.js';

/** A disk that is named by its sequence number, or one of its partitions. */
export interface DiskLocator {
  readonly diskseq: bigint;
  readonly partition?: number | undefined;
}

/**
 * Finds a disk by its sequence number and pins its device node. This function asks sysfs and not
 * udev's /dev/disk/by-diskseq, because those links lag behind and exist neither for device-mapper
 * nor for md. The caller must still compare the sequence number of the device that it opens. Throws
 * `BlockError` with the code `ENOENT`, or as `pinNode` does.
 */
export async function pinDisk(locator: DiskLocator, signal?: AbortSignal): Promise<OwnedFd> {
  const disk = findDisk(locator.diskseq);
  if (disk === undefined) {
    throw new BlockError(`no disk has the sequence number (diskseq) ${locator.diskseq}`, {
      code: 'ENOENT',
    });
  }
  const directory = locator.partition === undefined ? disk : findPartition(disk, locator.partition);
  if (directory === undefined) {
    throw new BlockError(
      `the disk with diskseq ${locator.diskseq} has no partition ${locator.partition}`,
      { code: 'ENOENT' },
    );
  }
  return pinNode(directory, signal);
}

function findDisk(diskseq: bigint): string | undefined {
  const wanted = String(diskseq);
  const disks = listDisks();
  const numbers = disks.map((disk) => readAttribute(disk, 'diskseq'));
  return disks.find((_, index) => numbers[index] === wanted);
}

function findPartition(disk: string, partition: number): string | undefined {
  for (const directory of listPartitions(disk)) {
    if (readAttribute(directory, 'partition') === String(partition)) return directory;
  }
  return undefined;
}

/**
 * Pins the device node of a sysfs block directory. Throws `BlockError` with the code `ENOENT` if
 * the directory has vanished, and with the code `EIDENTITY` if the node belongs to another device.
 */
export async function pinNode(directory: string, signal?: AbortSignal): Promise<OwnedFd> {
  const [path, devnum] = [readDevname(directory), readDevnum(directory)];
  if (path === undefined || devnum === undefined) {
    throw new BlockError(`${directory} vanished while it was being looked up`, { code: 'ENOENT' });
  }
  const { fd, kind } = await pinPath(path, signal);
  const found = kind === 'block' ? devnumFromStat(fd.inode.rdev) : undefined;
  if (found && sameDevnum(found, devnum)) return fd;
  await fd.close();
  throw wrongNode(path, devnum, found);
}

function wrongNode(path: string, expected: Devnum, found: Devnum | undefined): BlockError {
  const is = found ? `device ${formatDevnum(found)}` : 'not a block device';
  return new BlockError(`${path} should be device ${formatDevnum(expected)} but is ${is}`, {
    code: 'EIDENTITY',
  });
}
