import type { Kernel } from './kernel.js';
import type { Disk } from './nodes.js';

/** The texts and links of sysfs and procfs that do not depend on a process. */

const MOUNTS = [
  '1 0 8:16 / / rw - ext4 /dev/sdz rw',
  '2 1 0:5 / /dev rw - devtmpfs devtmpfs rw',
  '3 1 0:20 / /run rw - tmpfs tmpfs rw',
];

/** Splits a path in sysfs into its device and the rest of the path. */
function splitPath(kernel: Kernel, path: string): { disk: Disk; rest: string } | undefined {
  const [, major, minor, tail] = /^\/sys\/dev\/block\/(\d+):(\d+)(?:\/(.*))?$/.exec(path) ?? [];
  if (major !== undefined) {
    const disk = kernel.findDisk({ major: Number(major), minor: Number(minor) });
    const [, above] = /^\.\.\/(.*)$/.exec(tail ?? '') ?? [];
    if (above === undefined) return disk && { disk, rest: tail ?? '' };
    return disk?.partition && { disk: disk.partition.disk, rest: above };
  }
  const [, name = '', rest] =
    /^\/sys\/(?:block|devices\/(?:virtual|pci0)\/block)\/([^/]+)(?:\/(.*))?$/.exec(path) ?? [];
  const disk = kernel.disks.get(name);
  if (disk === undefined || disk.partition !== undefined) return undefined;
  const [inner = '', ...others] = rest?.split('/') ?? [];
  const part = inner.startsWith(name) ? kernel.disks.get(inner) : undefined;
  if (part?.partition?.disk === disk) return { disk: part, rest: others.join('/') };
  return { disk, rest: rest ?? '' };
}

/** Returns the devices that a mapper device stands on, or those that stand on a device. */
function neighbours(kernel: Kernel, disk: Disk, kind: string): Disk[] {
  if (kind === 'slaves') return [...(disk.mapper?.below.keys() ?? [])];
  const above = [...(kernel.mapper?.devices ?? [])].filter(({ below }) => below.has(disk));
  return above.map((device) => device.disk).filter((one) => one !== undefined);
}

function attribute(kernel: Kernel, disk: Disk, name: string): string | undefined {
  const { devnum, loop, mapper, partition } = disk;
  const bound = loop?.bound;
  switch (name) {
    case 'dev':
      return `${devnum.major}:${devnum.minor}`;
    case 'diskseq':
      return partition ? undefined : String(disk.diskseq);
    case 'ro':
      return disk.readOnly ? '1' : '0';
    case 'size':
      return String(disk.size / 512n);
    case 'uevent':
      return `MAJOR=${devnum.major}\nMINOR=${devnum.minor}\nDEVNAME=${disk.name}\nDEVTYPE=${partition ? 'partition' : 'disk'}`;
    case 'partition':
      return partition && String(partition.number);
    case 'start':
      return partition && String(partition.start / 512n);
    case 'loop/backing_file':
      return bound?.path;
    case 'loop/autoclear':
      return bound && (bound.flags & 4 ? '1' : '0');
    case 'loop/offset':
      return bound && String(bound.offset);
    case 'loop/sizelimit':
      return bound && String(bound.sizeLimit);
    case 'loop/dio':
      return bound && '0';
    case 'dm/name':
      return mapper?.name;
    case 'dm/uuid':
      return mapper?.uuid;
    case 'dm/suspended':
      return mapper && (mapper.isSuspended ? '1' : '0');
    default: {
      const [kind = '', other, rest] = name.split('/');
      if (rest === undefined || (kind !== 'slaves' && kind !== 'holders')) return undefined;
      const found = neighbours(kernel, disk, kind).find((one) => one.name === other);
      return found && attribute(kernel, found, rest);
    }
  }
}

/** Returns the text of a file, or `undefined` if there is no such file. */
export function readText(kernel: Kernel, path: string): string | undefined {
  switch (path) {
    case '/proc/self/mountinfo':
      return `${MOUNTS.join('\n')}\n`;
    case '/proc/swaps':
      return 'Filename Type Size Used Priority\n';
    case '/proc/locks':
      return '';
    case '/proc/sys/kernel/osrelease':
      return '6.18.50\n';
    case '/proc/sys/kernel/version':
      return '#1 SMP\n';
    case '/proc/partitions':
      return partitions(kernel);
  }
  const found = splitPath(kernel, path);
  const text = found && attribute(kernel, found.disk, found.rest);
  return text === undefined ? undefined : `${text}\n`;
}

function partitions(kernel: Kernel): string {
  const rows = [...kernel.disks.values()]
    .filter(({ size }) => size > 0n)
    .map(({ devnum, size, name }) => `   ${devnum.major} ${devnum.minor} ${size / 1024n} ${name}`);
  return `major minor  #blocks  name\n\n${rows.join('\n')}\n`;
}

/** Returns the target of a link in sysfs, or `undefined` if there is no such link. */
export function readLink(kernel: Kernel, path: string): string | undefined {
  const found = splitPath(kernel, path);
  if (found === undefined || found.rest !== '') return undefined;
  return found.disk.directory.replace('/sys', path.startsWith('/sys/dev/') ? '../..' : '..');
}

/** The directories with a link for each vbd, and with one for each that blkback has taken up. */
const VBD_LISTS = ['/sys/bus/xen-backend/devices', '/sys/bus/xen-backend/drivers/vbd'];

/** Tells whether a path is a directory. */
export function isDirectory(kernel: Kernel, path: string): boolean {
  if (path === '/sys/class/misc/device-mapper') return kernel.mapper !== undefined;
  if (['/sys/bus', ...VBD_LISTS, '/sys/block', '/run', '/proc'].includes(path)) return true;
  const found = splitPath(kernel, path);
  if (found === undefined) return false;
  if (found.rest === 'loop') return found.disk.loop?.bound !== undefined;
  if (found.rest === 'dm') return found.disk.mapper !== undefined;
  return ['', 'holders', 'slaves'].includes(found.rest);
}

/** Returns the names in a directory, or `undefined` if there is no such directory. */
export function listNames(kernel: Kernel, path: string): string[] | undefined {
  if (path === '/sys/block') {
    return [...kernel.disks.values()].filter((disk) => !disk.partition).map(({ name }) => name);
  }
  if (VBD_LISTS.includes(path)) return [...kernel.vbds.keys()];
  if (!isDirectory(kernel, path)) return undefined;
  const found = splitPath(kernel, path);
  if (found?.rest === 'slaves' || found?.rest === 'holders') {
    return neighbours(kernel, found.disk, found.rest).map(({ name }) => name);
  }
  if (found?.rest !== '') return [];
  const partitions = kernel.partitionsOf(found.disk).map(({ name }) => name);
  return ['dev', 'diskseq', 'holders', 'ro', 'size', 'slaves', ...partitions];
}
