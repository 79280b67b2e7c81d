import { join } from 'node:path';
import { type Devnum, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { throwShortage } from '../linux/errno.js';
import { readMemoryFile, readMemoryLink } from '../linux/memory-file.js';
import { mountedDevice } from '../linux/mounted-device.js';
import { type Mount, parseMountinfo, readMounts } from '../linux/mounts.js';
import { readDevnum } from '../linux/sysfs.js';
import { yieldToLoop } from '../util/yield-to-loop.js';
import { listDirectory, listPids, nameOfProcess } from './process.js';

/**
 * Lists the mounts of a device, each by its name for the middle of a sentence: those of this mount
 * namespace, or else one of another namespace. A namespace without processes cannot be seen.
 *
 * If there are any, a file system has the device open: once, no matter in how many places it is
 * mounted.
 */
export async function listMounts(devnum: Devnum): Promise<string[]> {
  const mounts = await readMounts().catch(() => []);
  const here = mounts.filter((mount) => sameDevnum(mount.devnum, devnum));
  if (here.length > 0) return here.map(nameOf);
  const btrfs = findBtrfs(devnum);
  if (btrfs === undefined) return await listMountsElsewhere(devnum);
  const candidates = mounts.filter(({ type }) => type === 'btrfs');
  const devices = await Promise.all(candidates.map(mountedDevice));
  const names = candidates.filter((_, index) => isSame(devices[index], devnum)).map(nameOf);
  return names.length > 0 ? names : [`the btrfs file system ${btrfs}`];
}

function nameOf({ directory }: Mount): string {
  return `the mount ${directory}`;
}

function isSame(a: Devnum | undefined, b: Devnum): boolean {
  return a !== undefined && sameDevnum(a, b);
}

/**
 * Returns the UUID of the btrfs that has a device open. The table of mounts shows a number that
 * belongs to no device, and names one device of the btrfs by a path that may be out of date. sysfs
 * shows all of its devices (fs/btrfs/sysfs.c, btrfs_sysfs_add_device).
 */
function findBtrfs(devnum: Devnum): string | undefined {
  for (const uuid of listDirectory('/sys/fs/btrfs')) {
    const directory = join('/sys/fs/btrfs', uuid, 'devices');
    const devices = listDirectory(directory).map((name) => readDevnum(join(directory, name)));
    if (devices.some((device) => isSame(device, devnum))) return uuid;
  }
  return undefined;
}

/** After this many processes, the event loop handles everything else that is due. */
const PROCESSES_AT_ONCE = 50;

/**
 * Returns the first mount that is found in another mount namespace. Only the number of the device
 * is compared: a path may lead to another device there.
 */
async function listMountsElsewhere(devnum: Devnum): Promise<string[]> {
  const seen = new Set([namespaceOf('self')]);
  for (const [index, pid] of listPids().entries()) {
    if (index % PROCESSES_AT_ONCE === 0) await yieldToLoop();
    const namespace = namespaceOf(pid);
    if (namespace === undefined || seen.has(namespace)) continue;
    const table = read(readMemoryFile, `/proc/${pid}/mountinfo`);
    // The process has ended. Another one may be in the same namespace.
    if (table === undefined) continue;
    seen.add(namespace);
    // Most tables do not have the device, and then need not be parsed.
    if (!table.includes(` ${formatDevnum(devnum)} `)) continue;
    const mount = parseMountinfo(table).find((one) => sameDevnum(one.devnum, devnum));
    if (mount !== undefined) return [`${nameOf(mount)} of ${nameOfProcess(pid)}`];
  }
  return [];
}

function namespaceOf(pid: string): string | undefined {
  return read(readMemoryLink, `/proc/${pid}/ns/mnt`);
}

function read(how: (path: string) => string | undefined, path: string): string | undefined {
  try {
    return how(path);
  } catch (error) {
    throwShortage('open', path, error);
    return undefined;
  }
}
