import { readlinkSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Devnum, devnumFromStat, sameDevnum } from '../linux/devnum.js';
import { isBlockDevice, statPath } from '../linux/file-stat.js';
import { readMounts, readSwaps } from '../linux/mounts.js';
import { findBlock, listPartitions, readDevnum } from '../linux/sysfs.js';

/** How long others' files may keep an answer waiting; milliseconds. What is not known by then is left out. */
const LOOK_MS = 1000;

/**
 * Who has a block device open, as far as it can be seen: processes, mounts, swap, devices on top.
 * Kernel users such as blkback leave no trace. For messages only: it is out of date when it returns.
 */
export async function listHolders(devnum: Devnum): Promise<string[]> {
  const signal = AbortSignal.timeout(LOOK_MS);
  const found = await Promise.all([
    listMounts(devnum),
    listSwaps(devnum, signal),
    listStacked(devnum),
    listProcesses(devnum, signal),
  ]);
  return found.flat();
}

/**
 * Who can have claimed a disk, a partition or one of its partitions for themselves: mounts, swap, and
 * devices on top other than mapper devices, which share their claims. For messages only.
 */
export async function listClaimants(devnum: Devnum): Promise<string[]> {
  const block = await findBlock(devnum).catch(() => undefined);
  const partitions = block ? await listPartitions(block.diskDirectory) : [];
  const numbers = await Promise.all(partitions.map(readDevnum));
  const all = [devnum, ...numbers.filter((number) => number !== undefined)];
  const signal = AbortSignal.timeout(LOOK_MS);
  const lists = [listMounts, (one: Devnum) => listSwaps(one, signal), listStacked];
  const found = await Promise.all(all.flatMap((one) => lists.map((list) => list(one))));
  return [...new Set(found.flat())].filter((who) => !/^the device dm-/.test(who));
}

/** Whether a link in /proc/<pid>/fd has a path, unlike that of a socket or a pipe. */
function leadsToFile(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('/');
  } catch {
    return false;
  }
}

async function listMounts(devnum: Devnum): Promise<string[]> {
  const mounts = await readMounts().catch(() => []);
  return mounts
    .filter((mount) => sameDevnum(mount.devnum, devnum))
    .map(({ directory }) => `the mount ${directory}`);
}

async function listSwaps(devnum: Devnum, signal: AbortSignal): Promise<string[]> {
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
  return paths.filter((_path, index) => isIt(index)).map((path) => `the swap space ${path}`);
}

async function listStacked(devnum: Devnum): Promise<string[]> {
  const { directory } = await findBlock(devnum).catch(() => ({ directory: '' }));
  const names = await readdir(join(directory, 'holders')).catch(() => []);
  return names.map((name) => `the device ${name}`);
}

async function listProcesses(devnum: Devnum, signal: AbortSignal): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found: string[] = [];
  for (const pid of pids) {
    if (Number(pid) === process.pid || !(await hasOpen(pid, devnum, signal))) continue;
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '?');
    found.push(`process ${pid} (${name.trim()})`);
  }
  return found;
}

async function hasOpen(pid: string, devnum: Devnum, signal: AbortSignal): Promise<boolean> {
  const directory = `/proc/${pid}/fd`;
  for (const fd of await readdir(directory).catch(() => [])) {
    const path = join(directory, fd);
    if (!leadsToFile(path)) continue;
    // A device may be open under any name, so that the name does not tell. It is not opened for that.
    const found = await statPath(path, signal).catch(() => undefined);
    if (found && isBlockDevice(found) && sameDevnum(devnumFromStat(found.rdev), devnum))
      return true;
  }
  return false;
}
