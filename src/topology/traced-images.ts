import { type LockHolder, listLockHolders, lockKey } from '../block/lock-holders.js';
import { type Devnum, devnumFromStat, sameDevnum } from '../linux/devnum.js';
import type { FileLock } from '../linux/file-locks.js';
import { isBlockDevice } from '../linux/file-stat.js';
import { type Mount, readMountsOf } from '../linux/mounts.js';
import { readOpenInode } from '../linux/open-device.js';
import type { Extent } from './extent.js';
import type { ConflictQuery, LocalUse } from './local-use.js';
import { lockedAccess } from './locked-access.js';
import { isLockOn } from './locked-file.js';
import { realFileOf } from './overlay.js';
import { readPartitionList } from './partition-list.js';
import { fileExtent, type StorageSnapshot } from './storage-snapshot.js';

/** A locked file or device, and who has locked it, as far as that can be seen. */
interface LockedImage {
  readonly path: string;
  readonly devnum: Devnum | undefined;
  readonly extents: readonly Extent[];
  readonly locks: readonly FileLock[];
  readonly holders: readonly LockHolder[];
}

/** The uses that locks have led to, and the locks that have led nowhere. */
interface TracedImages {
  readonly uses: LocalUse[];
  readonly untraced: readonly FileLock[];
}

/**
 * Finds the uses of the queried bytes by programs that hold some of these locks. The numbers of
 * these locks do not tell the bytes.
 *
 * A node with the kernel's own name tells its device at little cost. The open files of all programs
 * are looked at only for other locks, and to name the programs that have locked a device with
 * bytes of the query. Throws `SystemError`, `UnansweredLoop`.
 */
export async function findTracedImages(
  snapshot: StorageSnapshot,
  query: ConflictQuery,
  locks: readonly FileLock[],
): Promise<TracedImages> {
  const isBusy = (image: LockedImage): boolean => toUse(image, query) !== undefined;
  const nodes = listLockedNodes(locks);
  const known = new Set(nodes.flatMap((node) => node.locks.map(lockKey)));
  const images = await Promise.all(nodes.map((node) => readLockedNode(snapshot, query, node)));
  const busy = images.filter((image) => image !== undefined).filter(isBusy);
  const others = locks.filter((lock) => !known.has(lockKey(lock)));
  const wanted = [...others, ...busy.flatMap((image) => image.locks)];
  if (wanted.length === 0) return { uses: [], untraced: [] };
  const holders = await listLockHolders(wanted);
  const traced = new Set(holders.flatMap((holder) => holder.locks.map(lockKey)));
  const isTraced = (lock: FileLock): boolean => traced.has(lockKey(lock));
  const groups = groupHolders(holders).map((group) => readImage(snapshot, query, group));
  const found = [
    ...busy.filter((image) => !image.locks.some(isTraced)),
    ...(await Promise.all(groups)),
  ];
  const uses = found.map((image) => image && toUse(image, query));
  return {
    uses: uses.filter((use) => use !== undefined),
    untraced: others.filter((lock) => !isTraced(lock)),
  };
}

/**
 * Groups the holders by file, and by the guest that they serve: one of them may be the device model
 * of the very guest that is to get the bytes.
 */
function groupHolders(holders: readonly LockHolder[]): [LockHolder, ...LockHolder[]][] {
  const groups = new Map<string, [LockHolder, ...LockHolder[]]>();
  for (const holder of holders) {
    const key = [holder.file.dev, holder.file.ino, holder.domid].join(' ');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [holder]);
    else group.push(holder);
  }
  return [...groups.values()];
}

async function readImage(
  snapshot: StorageSnapshot,
  query: ConflictQuery,
  holders: readonly [LockHolder, ...LockHolder[]],
): Promise<LockedImage | undefined> {
  const [{ file, path, pid }] = holders;
  const locks = holders.flatMap((holder) => holder.locks);
  if (isBlockDevice(file)) {
    const image = await readLockedNode(snapshot, query, {
      devnum: devnumFromStat(file.rdev),
      locks,
    });
    return image && { ...image, holders };
  }
  const own = fileExtent(file, 0n, undefined);
  const real = await realFileOf(path, mountsOf(pid));
  const extents = real === undefined ? [own] : [own, { ...own, ...real }];
  return { path, devnum: undefined, extents, locks, holders };
}

/** A block device whose node is locked. */
type LockedNode = Pick<LockedImage, 'locks'> & { readonly devnum: Devnum };

async function readLockedNode(
  snapshot: StorageSnapshot,
  { extents }: ConflictQuery,
  { devnum, locks }: LockedNode,
): Promise<LockedImage | undefined> {
  const reach = await snapshot.reachWithin(devnum, extents);
  const path = snapshot.block(devnum)?.path;
  if (reach === undefined || path === undefined) return undefined;
  return { path, devnum, extents: reach.extents, locks, holders: [] };
}

/** Lists the block devices whose nodes, by the kernel's own names, have some of these locks. */
function listLockedNodes(locks: readonly FileLock[]): LockedNode[] {
  const device = readOpenInode('/dev')?.dev;
  const directory = device === undefined ? undefined : devnumFromStat(device);
  if (directory === undefined) return [];
  const here = locks.filter((lock) => sameDevnum(lock.devnum, directory));
  const inodes = new Set(here.map(({ inode }) => inode));
  const found: LockedNode[] = [];
  for (const line of readPartitionList().matchAll(/^ *(\d+) +(\d+) +\d+ (\S+)$/gm)) {
    // There may be thousands of nodes, and few locks.
    if (inodes.size === 0) break;
    const [, major, minor, name] = line;
    const node = readOpenInode(`/dev/${name}`);
    if (node === undefined || !inodes.delete(node.ino)) continue;
    const devnum = { major: Number(major), minor: Number(minor) };
    // The node may be that of another device.
    if (!isBlockDevice(node) || !sameDevnum(devnumFromStat(node.rdev), devnum)) continue;
    const file = { kind: 'file', device: node.dev, inode: node.ino } as const;
    found.push({ devnum, locks: here.filter((lock) => isLockOn(lock, file)) });
  }
  return found;
}

function toUse(image: LockedImage, query: ConflictQuery): LocalUse | undefined {
  const access = lockedAccess(image.locks);
  if (access === undefined || !query.clashes(access, image.extents)) return undefined;
  const { path, devnum, holders } = image;
  const where = holders.map(({ name }) => name).join(', ');
  return { kind: 'image', access, path, where, devnum, domid: holders[0]?.domid };
}

/** Returns the mounts that a process sees, since the path of its file is one that it sees. */
function mountsOf(pid: number): readonly Mount[] {
  try {
    return readMountsOf(pid);
  } catch {
    // The process has just ended.
    return [];
  }
}
