import { join } from 'node:path';
import { type Devnum, devnumFromStat, sameDevnum } from '../linux/devnum.js';
import { isBlockDevice, statPath } from '../linux/file-stat.js';
import { readSwaps } from '../linux/mounts.js';
import { readOpenDevice } from '../linux/open-device.js';
import { listPartitions, lookUpBlock, readDevnum } from '../linux/sysfs.js';
import { yieldToLoop } from '../util/yield-to-loop.js';
import { listMounts } from './mounts.js';
import { isPathOnly, listDirectory, listPids, nameOfProcess, readCommand } from './process.js';

/** A user that has a block device open. */
export interface Holder {
  readonly kind: 'mount' | 'swap' | 'device' | 'process';
  /** The holder's name for the middle of a sentence. */
  readonly name: string;
  /** How many opens of the device this holder explains. */
  readonly opens: number;
}

/**
 * Marks the command line of a process that holds a device for a blkback that may still open it. The
 * opens of this process explain nothing: they stand for a use that is still to come.
 */
export const HOLDS_FOR_BLKBACK = 'xen-blkback: holds';

/**
 * Longest wait for the paths of swap spaces; milliseconds. Answers that are missing after this time
 * are left out.
 */
const SWAPS_MS = 1000;

/**
 * Lists the visible holders of a block device: processes, mounts, swap and devices on top. Kernel
 * users such as blkback leave no trace. The list may be out of date when this function returns.
 */
export async function listHolders(devnum: Devnum): Promise<Holder[]> {
  const signal = AbortSignal.timeout(SWAPS_MS);
  const found = await Promise.all([
    listMounted(devnum),
    listSwaps(devnum, signal),
    listStacked(devnum),
    listProcesses(devnum),
  ]);
  return found.flat();
}

/**
 * Lists the names of the users whose claim keeps device-mapper from claiming a disk or partition:
 * mounts, swap and devices on top. A claim of a disk excludes claims of its partitions, and the
 * other way round. Two partitions can be claimed independently (block/bdev.c, bd_may_claim).
 *
 * Mapper devices on the device itself are left out, because they share their claims. They do not
 * share them with mapper devices on its disk or on its partitions. The list may be out of date when
 * this function returns.
 */
export async function listClaimants(devnum: Devnum): Promise<string[]> {
  const signal = AbortSignal.timeout(SWAPS_MS);
  const lists = [listMounted, listSwaps, listStacked];
  const listNames = async (one: Devnum): Promise<string[]> => {
    const found = await Promise.all(lists.map((list) => list(one, signal)));
    return found.flat().map(({ name }) => name);
  };
  const [own, ...others] = await Promise.all([devnum, ...listExcluded(devnum)].map(listNames));
  const claims = own?.filter((name) => !/^the device dm-/.test(name)) ?? [];
  return [...new Set([...claims, ...others.flat()])];
}

/** Lists the disk of a partition, and the partitions of a disk. */
function listExcluded(devnum: Devnum): Devnum[] {
  const block = lookUpBlock(devnum);
  if (block?.partition === undefined) return listPartitionNumbers(devnum);
  const disk = readDevnum(block.diskDirectory);
  return disk === undefined ? [] : [disk];
}

/** Lists the holders of a disk and of its partitions. An open partition keeps its disk open. */
export async function listDiskHolders(devnum: Devnum): Promise<Holder[]> {
  const all = [devnum, ...listPartitionNumbers(devnum)];
  return (await Promise.all(all.map(listHolders))).flat();
}

function listPartitionNumbers(devnum: Devnum): Devnum[] {
  const block = lookUpBlock(devnum);
  const partitions = block ? listPartitions(block.diskDirectory) : [];
  const numbers = partitions.map(readDevnum);
  return numbers.filter((number) => number !== undefined);
}

async function listMounted(devnum: Devnum): Promise<Holder[]> {
  const names = await listMounts(devnum);
  // A file system opens its device once, no matter in how many places it is mounted.
  return names.map((name, index) => ({ kind: 'mount', name, opens: index === 0 ? 1 : 0 }));
}

async function listSwaps(devnum: Devnum, signal: AbortSignal): Promise<Holder[]> {
  const paths = await readSwaps().catch(() => []);
  const devices = await Promise.all(
    paths.map((path) => statPath(path, signal).catch(() => undefined)),
  );
  const isIt = (index: number): boolean => {
    const found = devices[index];
    return (
      found !== undefined && isBlockDevice(found) && sameDevnum(devnumFromStat(found.rdev), devnum)
    );
  };
  return paths
    .filter((_path, index) => isIt(index))
    .map((path) => ({ kind: 'swap', name: `the swap space ${path}`, opens: 1 }));
}

async function listStacked(devnum: Devnum): Promise<Holder[]> {
  const { directory } = lookUpBlock(devnum) ?? { directory: '' };
  return listDirectory(join(directory, 'holders')).map((name) => ({
    kind: 'device',
    name: `the device ${name}`,
    opens: 1,
  }));
}

async function listProcesses(devnum: Devnum): Promise<Holder[]> {
  const found: Holder[] = [];
  for (const pid of listPids()) {
    await yieldToLoop();
    const count = Number(pid) === process.pid ? 0 : countOpens(pid, devnum);
    if (count === 0) continue;
    const command = await readCommand(pid);
    // A process whose command line cannot be read may be one that holds the device for blkback.
    const explains = command !== undefined && !command.includes(`\0${HOLDS_FOR_BLKBACK}`);
    found.push({ kind: 'process', name: nameOfProcess(pid), opens: explains ? count : 0 });
  }
  return found;
}

/** Returns how many descriptors of this process have a device open. */
export function countOwnOpens(devnum: Devnum): number {
  return countOpens('self', devnum);
}

/**
 * Counts the descriptors of a process that have a device open. A child may share a descriptor of
 * its parent, but this cannot be seen, so each descriptor counts.
 */
function countOpens(pid: string, devnum: Devnum): number {
  const directory = `/proc/${pid}/fd`;
  let opens = 0;
  for (const fd of listDirectory(directory)) {
    const open = readOpenDevice(join(directory, fd));
    if (open === undefined || !sameDevnum(open, devnum)) continue;
    if (!isPathOnly(pid, fd)) opens++;
  }
  return opens;
}
