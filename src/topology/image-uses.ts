import { listFileOpeners } from '../block/file-openers.js';
import { devnumFromStat } from '../linux/devnum.js';
import { type FileLock, readFileLocks } from '../linux/file-locks.js';
import { readMountTable } from '../linux/mounts.js';
import { type Extent, type Storage, storageKey } from './extent.js';
import type { Access, ConflictQuery, LocalUse } from './local-use.js';
import { lockedAccess } from './locked-access.js';
import { hiddenKinds, isLockOn, mayBeLockOf } from './locked-file.js';
import type { StorageSnapshot } from './storage-snapshot.js';
import { findTracedImages } from './traced-images.js';

type File = Extract<Storage, { kind: 'file' }>;

/**
 * Finds the programs that have locked a file or device with bytes of the query. QEMU and qemu-img,
 * cloud-hypervisor and libvirt lock a disk image that they have open. Throws `SystemError`,
 * `UnansweredLoop`.
 */
export async function findImageUses(
  snapshot: StorageSnapshot,
  query: ConflictQuery,
): Promise<LocalUse[]> {
  const locks = readFileLocks();
  if (locks.length === 0) return [];
  const mounts = readMountTable();
  const files = filesOf(query.extents);
  const plain = await findFileUses(files, query, isLockOn, locks);
  const unclear = locks.filter((lock) => {
    if (files.some((file) => isLockOn(lock, file))) return false;
    if (files.some((file) => mayBeLockOf(lock, file, mounts))) return true;
    const kinds = hiddenKinds(lock, mounts);
    return kinds.has('node') || (kinds.has('file') && files.length > 0);
  });
  if (unclear.length === 0) return plain;
  const { uses, untraced } = await findTracedImages(snapshot, query, unclear);
  const isOf = (lock: FileLock, file: File): boolean => mayBeLockOf(lock, file, mounts);
  return [...plain, ...uses, ...(await findFileUses(files, query, isOf, untraced))];
}

function filesOf(extents: readonly Extent[]): File[] {
  const files = extents.flatMap(({ storage }) => (storage.kind === 'file' ? [storage] : []));
  return [...new Map(files.map((file) => [storageKey(file), file])).values()];
}

async function findFileUses(
  files: readonly File[],
  { clashes }: ConflictQuery,
  isOf: (lock: FileLock, file: File) => boolean,
  locks: readonly FileLock[],
): Promise<LocalUse[]> {
  const uses = files.map(async (file) => {
    const own = locks.filter((lock) => isOf(lock, file));
    const access = lockedAccess(own);
    if (access === undefined) return undefined;
    const all: Extent = { storage: file, start: 0n, end: undefined };
    return clashes(access, [all]) ? await describe(file, access, own) : undefined;
  });
  return (await Promise.all(uses)).filter((use) => use !== undefined);
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
