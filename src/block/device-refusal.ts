import { basename } from 'node:path';
import { type Devnum, devnumFromStat, formatDevnum } from '../linux/devnum.js';
import { SystemError } from '../linux/errno.js';
import type { OwnedFd } from '../linux/fd.js';
import { readMemoryLink } from '../linux/memory-file.js';
import { BlockError } from './block-error.js';

const NO_MEDIUM = 'there is no medium in the drive';
const SECONDARY =
  'DRBD answers so while this node is secondary: make it primary (drbdadm primary) when the other node has let go of the disk';

/** The meaning of the errors with which drivers refuse an open, by the names of their devices. */
const MEANINGS: readonly {
  readonly device: RegExp;
  readonly codes: readonly string[];
  readonly meaning: string;
}[] = [
  { device: /^drbd\d/, codes: ['EMEDIUMTYPE', 'EROFS', 'EACCES'], meaning: SECONDARY },
  {
    device: /^drbd\d/,
    codes: ['EIO', 'ENODATA', 'EAGAIN'],
    meaning: 'DRBD answers so while it has no up-to-date data (drbdadm status)',
  },
  {
    device: /^loop\d/,
    codes: ['ENXIO'],
    meaning: 'the loop device has no file, or is just losing it',
  },
  {
    device: /^(md|nbd|rbd|zd)/,
    codes: ['ENODEV', 'ENXIO'],
    meaning: 'the device is not set up, or is just being stopped',
  },
  { device: /^/, codes: ['ENOMEDIUM'], meaning: NO_MEDIUM },
  {
    device: /^/,
    codes: ['EMEDIUMTYPE'],
    meaning: 'the medium is of a kind, or in a state, that the driver does not serve',
  },
  {
    device: /^/,
    codes: ['EROFS'],
    meaning: 'its driver refuses to open it, although only reading is asked for',
  },
  {
    device: /^/,
    codes: ['EPERM'],
    meaning:
      'root is forbidden to open it, by a device cgroup (DevicePolicy and DeviceAllow of the unit, or the container), a security module or the driver',
  },
  {
    device: /^/,
    codes: ['EACCES'],
    meaning: 'permissions or a security module keep this process from opening it',
  },
];

/**
 * Returns what the driver of a device means by an error code, `undefined` if unknown. `device` is
 * the name of the device in sysfs. Pure.
 */
export function meaningOf(device: string, code: string): string | undefined {
  return MEANINGS.find((one) => one.device.test(device) && one.codes.includes(code))?.meaning;
}

/**
 * Returns why a device is read-only, if its driver has a reason of its own. `device` is the name of
 * the device in sysfs. Pure.
 */
export function whyReadOnly(device: string): string | undefined {
  return /^drbd\d/.test(device) ? SECONDARY : undefined;
}

/**
 * Returns the error to throw when a driver refuses an open. The sentence of this error has the
 * kernel's reason and the driver's meaning. Returns `error` itself if the meaning is unknown.
 */
export function explainRefusal(node: OwnedFd, error: unknown): unknown {
  if (!(error instanceof SystemError)) return error;
  const meaning = meaningOf(deviceName(devnumFromStat(node.inode.rdev)), error.code);
  if (meaning === undefined) return error;
  const { code, errno, syscall } = error;
  return new BlockError(`${error.message}: ${meaning}`, { code, errno, syscall, cause: error });
}

/**
 * Returns the kernel's name of a device. The name is empty if the kernel has no device of this
 * number.
 */
export function deviceName(devnum: Devnum): string {
  try {
    return basename(readMemoryLink(`/sys/dev/block/${formatDevnum(devnum)}`) ?? '');
  } catch {
    return '';
  }
}
