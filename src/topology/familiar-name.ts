import { basename } from 'node:path';
import type { MapperState } from '../linux/mapper-state.js';
import type { StackedBlock } from './stacked-block.js';

/** A device that stands on other devices, under the name that people know. */
export interface FamiliarDevice {
  /** `vg0/root`, `mpatha1`, `md0`. */
  readonly name: string;
  /** The command that removes the device. */
  readonly end: string;
}

/**
 * Returns the name by which people know a device that was made of other devices, and the command
 * that removes it. Pure, except that it reads the name of the device in sysfs.
 */
export function familiarDevice(
  block: StackedBlock,
  mapper: MapperState | undefined,
): FamiliarDevice {
  return mapper === undefined ? familiarDisk(basename(block.directory)) : familiarMapper(mapper);
}

/** Returns name and command for a disk that is no mapper device, by its name in sysfs. Pure. */
export function familiarDisk(disk: string): FamiliarDevice {
  const path = `/dev/${disk.replaceAll('!', '/')}`;
  if (disk.startsWith('md')) return { name: disk, end: `mdadm --stop ${path}` };
  if (disk.startsWith('bcache')) {
    return { name: disk, end: `echo 1 >/sys/block/${disk}/bcache/stop` };
  }
  if (disk.startsWith('drbd')) return { name: disk, end: `drbdsetup down (${path})` };
  return { name: disk, end: `the command that has made ${path}` };
}

/**
 * Returns name and command for a mapper device. Its UUID tells which tool has made it, such as LVM,
 * multipath or cryptsetup. Pure.
 */
export function familiarMapper({ name, uuid }: Pick<MapperState, 'name' | 'uuid'>): FamiliarDevice {
  const [kind] = uuid.split('-', 1);
  if (kind === 'LVM') {
    const volume = volumeName(name);
    return { name: volume, end: `lvchange --activate n ${volume}` };
  }
  if (kind === 'mpath') return { name, end: `multipath -f ${name}` };
  if (kind === 'CRYPT') return { name, end: `cryptsetup close ${name}` };
  return { name, end: `dmsetup remove ${name}` };
}

/**
 * Returns `vg0/root` for `vg0-root`. A hyphen within either name is doubled (lvm(8), VALID NAMES).
 */
function volumeName(name: string): string {
  const [, group, volume] = /^((?:[^-]|--)+)-((?:[^-]|--)+)/.exec(name) ?? [];
  if (group === undefined || volume === undefined) return name;
  return [group, volume].map((part) => part.replaceAll('--', '-')).join('/');
}
