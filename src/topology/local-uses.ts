import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isBlockDevice, statWithinSecond } from '../linux/file-stat.js';
import { mountedDevice } from '../linux/mounted-device.js';
import { readMounts, readSwaps } from '../linux/mounts.js';
import { isExclusivelyOpen, staysExclusivelyOpen } from './exclusive-opens.js';
import { type Extent, overlap } from './extent.js';
import { familiarMapper } from './familiar-name.js';
import { HolderUses } from './holder-uses.js';
import type { Access, ConflictQuery, LocalUse, UnexplainedUse } from './local-use.js';
import { readPartitions } from './stacked-block.js';
import { fileExtent, type StorageSnapshot } from './storage-snapshot.js';
import { listTwinDisks } from './twin-disks.js';

/** A mount or swap space, with its bytes. */
interface NamedUse {
  readonly use: LocalUse;
  readonly extents: readonly Extent[];
}

/**
 * Finds the uses of the queried bytes by this domain, as far as they forbid the export: mounts,
 * swap, and exclusive claims of a device that reaches the bytes. Throws `SystemError`.
 */
export async function* findLocalUses(
  snapshot: StorageSnapshot,
  query: ConflictQuery,
): AsyncGenerator<LocalUse | UnexplainedUse> {
  const [mounts, swaps] = await Promise.all([
    mountUses(snapshot, query.extents),
    swapUses(snapshot, query.extents),
  ]);
  const found = [...mounts, ...swaps];
  const named = found.map(({ use }) => use);
  yield* found
    .filter(({ use, extents }) => query.clashes(use.access, extents))
    .map(({ use }) => use);
  const holders = new HolderUses(snapshot, query, named);
  for (const devnum of await claimable(snapshot, query)) {
    const isOwn = query.unclaimed.some((one) => sameDevnum(one, devnum));
    if (!isOwn && snapshot.block(devnum)?.kind === 'mapper') yield* holders.find(devnum);
    else if (await isExclusivelyOpen(snapshot, devnum, query.signal))
      yield* explainClaim(snapshot, devnum, holders, query);
  }
}

async function mountUses(
  snapshot: StorageSnapshot,
  extents: readonly Extent[],
): Promise<NamedUse[]> {
  const uses: NamedUse[] = [];
  const seen = new Set<string>();
  for (const mount of await readMounts()) {
    const devnum = await mountedDevice(mount);
    if (devnum === undefined || seen.has(formatDevnum(devnum))) continue;
    seen.add(formatDevnum(devnum));
    const reach = await snapshot.reachWithin(devnum, extents);
    if (reach === undefined) continue;
    const access = mount.readOnly ? 'read-only' : 'read-write';
    const block = snapshot.block(devnum);
    const mapper = block?.kind === 'mapper' ? await snapshot.mapper(devnum) : undefined;
    const use = {
      kind: 'mount',
      access,
      path: block?.path ?? mount.source,
      where: mount.directory,
      devnum,
      holder: mapper && familiarMapper(mapper),
    } as const;
    uses.push({ use, extents: reach.extents });
  }
  return uses;
}

async function swapUses(snapshot: StorageSnapshot, wanted: readonly Extent[]): Promise<NamedUse[]> {
  const uses: NamedUse[] = [];
  for (const path of await readSwaps()) {
    const { devnum, extents } = await readSwapSpace(path);
    const reached = devnum ? (await snapshot.reachWithin(devnum, wanted))?.extents : extents;
    if (reached === undefined || !overlap(reached, wanted)) continue;
    const use = { kind: 'swap', access: 'read-write', path, where: '', devnum } as const;
    uses.push({ use, extents: reached });
  }
  return uses;
}

/**
 * Returns the device of a swap space, or the bytes of a swap file. Returns neither where the path is
 * not found within a second.
 */
async function readSwapSpace(
  path: string,
): Promise<{ devnum: Devnum | undefined; extents: Extent[] }> {
  const found = await statWithinSecond(path);
  if (found && isBlockDevice(found)) return { devnum: devnumFromStat(found.rdev), extents: [] };
  return { devnum: undefined, extents: found ? [fileExtent(found, 0n, undefined)] : [] };
}

/**
 * Lists the devices whose claim would be a claim of the queried bytes: the export's own devices, the
 * other names of its disks, loop devices beside it, and devices that stand on the same devices as
 * the export. `nearby` has no read-only loop devices where only writers matter, because nobody
 * writes through them.
 *
 * The other names count even where a guest has such a disk: blkback does not claim what it opens.
 */
async function claimable(snapshot: StorageSnapshot, query: ConflictQuery): Promise<Devnum[]> {
  const found = dedupe([...query.unclaimed, ...listTwinDisks(snapshot, query)]);
  const known = new Set([...query.known, ...found.map(formatDevnum)]);
  const { loops, above } = query.nearby;
  const others = [...loops, ...above].filter((device) => !known.has(formatDevnum(device)));
  // All are asked at once, so that a device on a file of a slow server holds up none of the others.
  const reaches = await Promise.all(others.map((one) => snapshot.reachWithin(one, query.extents)));
  found.push(...others.filter((_, index) => reaches[index] !== undefined));
  return found;
}

/**
 * Says who has claimed a device or its partitions. Mounts and swap are reported already. The others
 * are devices that stand on it, or a program that cannot be identified.
 */
async function* explainClaim(
  snapshot: StorageSnapshot,
  devnum: Devnum,
  holders: HolderUses,
  { extents, clashes, signal }: ConflictQuery,
): AsyncGenerator<LocalUse | UnexplainedUse> {
  const block = snapshot.block(devnum);
  if (block === undefined) return;
  const partitions = readPartitions(block);
  const disk = block.partition?.disk;
  for (const part of partitions.length > 0 ? partitions : [devnum]) {
    const reach = await snapshot.reachWithin(part, extents);
    if (reach === undefined) continue;
    const family = dedupe([part, devnum, ...(disk ? [disk] : [])]);
    const stacked = family.flatMap((member) => holders.listOn(member));
    for (const { holder, lower } of stacked) yield* holders.find(holder, lower);
    const isReported = family.some((member) => holders.isReported(member));
    if (stacked.length > 0 || isReported) continue;
    const device = snapshot.block(part);
    const access: Access = device?.readOnly ? 'read-only' : 'read-write';
    if (!clashes(access, reach.extents) || !(await staysExclusivelyOpen(snapshot, part, signal)))
      continue;
    yield { kind: 'claim', access, path: device?.path ?? block.path, where: '', devnum: part };
  }
}

function dedupe(devnums: readonly Devnum[]): Devnum[] {
  return devnums.filter((a, index) => devnums.findIndex((b) => sameDevnum(a, b)) === index);
}
