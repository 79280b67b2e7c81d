import { listFileOpeners } from '../block/file-openers.js';
import { type Devnum, devnumFromStat, sameDevnum } from '../linux/devnum.js';
import { type FileLock, readFileLocks } from '../linux/file-locks.js';
import { type Mount, readMountTable } from '../linux/mounts.js';
import type { Extent, Storage } from './extent.js';
import type { Access, ConflictQuery, LocalUse } from './local-use.js';

type File = Extract<Storage, { kind: 'file' }>;

/**
 * Finds the programs that have locked a file of the sought bytes. QEMU and qemu-img,
 * cloud-hypervisor and libvirt lock a disk image that they have open. Throws `SystemError`.
 */
export async function findImageUses({ extents, clashes }: ConflictQuery): Promise<LocalUse[]> {
  const storages = extents.flatMap(({ storage }) => (storage.kind === 'file' ? [storage] : []));
  if (storages.length === 0) return [];
  const locks = readFileLocks();
  if (locks.length === 0) return [];
  const mounts = readMountTable();
  const files = new Map(storages.map((file) => [`${file.device}:${file.inode}`, file]));
  const uses = [...files.values()].map(async (file) => {
    const own = locks.filter((lock) => isLockOf(lock, file, mounts));
    const access = lockedAccess(own);
    if (access === undefined) return undefined;
    const all: Extent = { storage: file, start: 0n, end: undefined };
    return clashes(access, [all]) ? await describe(file, access, own) : undefined;
  });
  return (await Promise.all(uses)).filter((use) => use !== undefined);
}

/**
 * Returns whether a lock is on this file. A file in a subvolume of btrfs has a device number that
 * no mount shows, while its locks have the device number of the file system. Pure.
 */
export function isLockOf(
  { devnum, inode }: FileLock,
  file: File,
  mounts: readonly Pick<Mount, 'devnum' | 'type'>[],
): boolean {
  if (inode !== file.inode) return false;
  const device = devnumFromStat(file.device);
  if (sameDevnum(devnum, device)) return true;
  const isMounted = (one: Devnum, type?: string): boolean =>
    mounts.some((mount) => sameDevnum(mount.devnum, one) && (type ?? mount.type) === mount.type);
  return device.major === 0 && !isMounted(device) && isMounted(devnum, 'btrfs');
}

/**
 * QEMU locks one byte, from 100 on, for each kind of access that it may make to an image
 * (block/file-posix.c, RAW_LOCK_PERM_BASE; include/block/block-common.h, BLK_PERM_WRITE and
 * BLK_PERM_RESIZE). All these locks are shared.
 */
const [QEMU_BYTES, QEMU_END] = [100n, 200n];
const QEMU_WRITES = [101n, 103n];

/**
 * Returns how the holders of these locks use the file; `undefined` for no locks. cloud-hypervisor
 * locks the bytes of the image, or all bytes, and does so exclusively if it writes
 * (docs/disk_locking.md). Pure.
 */
export function lockedAccess(locks: readonly FileLock[]): Access | undefined {
  if (locks.length === 0) return undefined;
  return locks.some((lock) => lock.exclusive || isQemuWriting(lock)) ? 'read-write' : 'read-only';
}

/**
 * Returns whether a lock shows that QEMU writes. The kernel shows locks of neighbouring bytes as
 * one.
 */
function isQemuWriting({ start, end }: FileLock): boolean {
  if (end === undefined || start < QEMU_BYTES || end >= QEMU_END) return false;
  return QEMU_WRITES.some((byte) => start <= byte && byte <= end);
}

async function describe(file: File, access: Access, locks: readonly FileLock[]): Promise<LocalUse> {
  const openers = await listFileOpeners(devnumFromStat(file.device), file.inode);
  const pids = new Set(locks.map(({ pid }) => pid).filter((pid) => pid !== undefined));
  // A lock that belongs to an open file description does not tell which process holds it.
  const holders = pids.size > 0 ? openers.filter(({ pid }) => pids.has(pid)) : openers;
  const [first] = holders;
  return {
    kind: 'image',
    access,
    path: first?.path ?? `inode ${file.inode}`,
    where: holders.map(({ name }) => name).join(', '),
    devnum: undefined,
    domid: holders.find(({ domid }) => domid !== undefined)?.domid,
  };
}
