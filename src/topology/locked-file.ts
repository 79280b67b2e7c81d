import { type Devnum, devnumFromStat, sameDevnum } from '../linux/devnum.js';
import type { FileLock } from '../linux/file-locks.js';
import type { Mount } from '../linux/mounts.js';
import type { Storage } from './extent.js';

type LockPlace = Pick<FileLock, 'devnum' | 'inode'>;
type File = Extract<Storage, { kind: 'file' }>;

/** Returns whether the numbers of a lock are those that stat(2) shows for this file. Pure. */
export function isLockOn({ devnum, inode }: LockPlace, file: File): boolean {
  return inode === file.inode && sameDevnum(devnum, devnumFromStat(file.device));
}

/**
 * Returns whether a lock may be on this file although stat(2) shows another device number. A file
 * in a subvolume of btrfs, or on an overlay over several file systems, has a device number that no
 * mount shows, while its locks have the device number of the file system. Pure.
 */
export function mayBeLockOf(
  { devnum, inode }: LockPlace,
  file: File,
  mounts: readonly Pick<Mount, 'devnum' | 'type'>[],
): boolean {
  const device = devnumFromStat(file.device);
  if (inode !== file.inode || device.major !== 0) return false;
  const typesOf = (one: Devnum): string[] =>
    mounts.filter((mount) => sameDevnum(mount.devnum, one)).map(({ type }) => type);
  const isNumbered = typesOf(devnum).some((type) => type === 'btrfs' || type === 'overlay');
  return isNumbered && typesOf(device).length === 0;
}

/**
 * Returns what a locked file may be, by the file system that it lies on, if the numbers of the lock
 * do not tell whose bytes it has: the node of a block device, or a file on an overlay, which has
 * the bytes of a file in another file system. A file system that no mount shows may be either, in
 * the mount namespace of another process. Pure.
 */
export function hiddenKinds(
  { devnum }: LockPlace,
  mounts: readonly Pick<Mount, 'devnum' | 'type' | 'directory'>[],
): ReadonlySet<'node' | 'file'> {
  if (devnum.major !== 0) return new Set();
  const found = mounts.filter((mount) => sameDevnum(mount.devnum, devnum));
  if (found.length === 0) return new Set(['node', 'file']);
  const kinds = new Set<'node' | 'file'>();
  for (const { type, directory } of found) {
    if (type === 'overlay') kinds.add('file');
    if (type === 'devtmpfs' || /\/dev$/.test(directory)) kinds.add('node');
  }
  return kinds;
}
