import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isBlockDevice, statPath } from '../linux/file-stat.js';
import { type Mount, readMounts, readSwaps } from '../linux/mounts.js';
import { isClaimed, isClaimedForLong } from './claims.js';
import { type DeviceMap, fileExtent } from './device-map.js';
import { type Extent, overlap } from './extent.js';
import type { Nearby } from './nearby.js';
import { readHolders, readPartitions } from './stacked-block.js';

export type Access = 'read-only' | 'read-write';

/** A use that this domain itself makes of some bytes. */
export interface LocalUse {
  readonly kind: 'mount' | 'swap' | 'claim';
  readonly access: Access;
  /** Path of the device or file that is used. */
  readonly path: string;
  /** Where it is mounted, or what stands on it; empty where only the claim is known. */
  readonly where: string;
  readonly devnum: Devnum | undefined;
}

/** Whose uses are looked for. */
export interface Sought {
  readonly extents: readonly Extent[];
  /** Devices of the export itself whose claim says something (`Reach.unclaimed`). */
  readonly unclaimed: readonly Devnum[];
  /** Devices that may have some of the bytes too. */
  readonly nearby: Nearby;
  /** Devices, `major:minor`, whose claims are accounted for: of the export itself and of guests. */
  readonly known: ReadonlySet<string>;
  /** Whether read-only uses are of interest too. */
  readonly readers: boolean;
  readonly signal: AbortSignal;
}

/**
 * The uses that this domain makes of the sought bytes, as far as they are of interest: mounts, swap,
 * and exclusive claims of a device that reaches them. Throws `SystemError`.
 */
export async function* findLocalUses(map: DeviceMap, sought: Sought): AsyncGenerator<LocalUse> {
  const [mounts, swaps] = await Promise.all([
    mountUses(map, sought.extents),
    swapUses(map, sought.extents),
  ]);
  const named = [...mounts, ...swaps];
  yield* named.filter(({ access }) => access === 'read-write' || sought.readers);
  for (const devnum of await claimable(map, sought)) {
    if (!(await isClaimed(map, devnum, sought.signal))) continue;
    for (const use of await explainClaim(map, devnum, named, sought)) {
      if (use.access === 'read-write' || sought.readers) yield use;
    }
  }
}

async function mountUses(map: DeviceMap, extents: readonly Extent[]): Promise<LocalUse[]> {
  const uses: LocalUse[] = [];
  const seen = new Set<string>();
  for (const mount of await readMounts()) {
    const devnum = await mountedDevice(mount);
    if (devnum === undefined || seen.has(formatDevnum(devnum))) continue;
    seen.add(formatDevnum(devnum));
    if ((await map.reachWithin(devnum, extents)) === undefined) continue;
    const access = mount.readOnly ? 'read-only' : 'read-write';
    const path = map.block(devnum)?.path ?? mount.source;
    uses.push({ kind: 'mount', access, path, where: mount.directory, devnum });
  }
  return uses;
}

/** btrfs for one has a number of its own, behind which no device stands. */
async function mountedDevice({ devnum, source }: Mount): Promise<Devnum | undefined> {
  if (devnum.major !== 0) return devnum;
  return source.startsWith('/dev/') ? (await look(source)).devnum : undefined;
}

async function swapUses(map: DeviceMap, wanted: readonly Extent[]): Promise<LocalUse[]> {
  const uses: LocalUse[] = [];
  for (const path of await readSwaps()) {
    const { devnum, extents } = await look(path);
    const isNear = devnum
      ? (await map.reachWithin(devnum, wanted)) !== undefined
      : overlap(extents, wanted);
    if (!isNear) continue;
    uses.push({ kind: 'swap', access: 'read-write', path, where: '', devnum });
  }
  return uses;
}

/** How long a swap file, or the source of a mount, is waited for; milliseconds. */
const LOOK_MS = 1000;

async function look(path: string): Promise<{ devnum: Devnum | undefined; extents: Extent[] }> {
  const signal = AbortSignal.timeout(LOOK_MS);
  const found = await statPath(path, signal).catch(() => undefined);
  if (found && isBlockDevice(found)) return { devnum: devnumFromStat(found.rdev), extents: [] };
  return { devnum: undefined, extents: found ? [fileExtent(found, 0n, undefined)] : [] };
}

/**
 * Devices whose claim would be one of the sought bytes: the export's own, loops beside it, and what
 * stands on the same devices as the export. Through a read-only one nobody writes, whoever has it.
 */
async function claimable(map: DeviceMap, sought: Sought): Promise<Devnum[]> {
  const found = [...sought.unclaimed];
  const known = new Set([...sought.known, ...found.map(formatDevnum)]);
  const { loops, above } = sought.nearby;
  const others = [...loops, ...above].filter((device) => !known.has(formatDevnum(device)));
  // All at once: one that stands on a file of a slow server holds up none of the others.
  const reaches = await Promise.all(others.map((one) => map.reachWithin(one, sought.extents)));
  found.push(...others.filter((_, index) => reaches[index] !== undefined));
  return found;
}

/**
 * Says who has claimed a device, or partitions of it: mounts and swap are told already (`named`), the
 * others are what stands on it, or a program that cannot be told.
 */
async function explainClaim(
  map: DeviceMap,
  devnum: Devnum,
  named: readonly LocalUse[],
  { known, extents, signal }: Sought,
): Promise<LocalUse[]> {
  const block = map.block(devnum);
  if (block === undefined) return [];
  const partitions = readPartitions(block);
  const disk = block.partition?.disk;
  const uses: LocalUse[] = [];
  for (const part of partitions.length > 0 ? partitions : [devnum]) {
    if ((await map.reachWithin(part, extents)) === undefined) continue;
    const family = [part, devnum, ...(disk ? [disk] : [])];
    const stacked = dedupe(family).flatMap((member) => {
      const lower = map.block(member);
      return lower ? readHolders(lower).map((holder) => ({ holder, lower })) : [];
    });
    for (const { holder, lower } of stacked) {
      if (known.has(formatDevnum(holder))) continue;
      // It has claimed all of the device, and may be known to use but a part of it.
      const above = await map.reach(holder);
      const isExact = above.stack.has(formatDevnum(lower.devnum));
      if (isExact && !overlap(above.extents, extents)) continue;
      uses.push(claim(map, lower.path, holder));
    }
    const isTold = named.some((use) =>
      family.some((member) => use.devnum && sameDevnum(use.devnum, member)),
    );
    if (stacked.length > 0 || isTold || !(await isClaimedForLong(map, part, signal))) continue;
    uses.push(claim(map, map.block(part)?.path ?? block.path, undefined, part));
  }
  return uses;
}

function claim(
  map: DeviceMap,
  path: string,
  holder: Devnum | undefined,
  devnum = holder,
): LocalUse {
  const device = devnum && map.block(devnum);
  const access = device?.readOnly ? 'read-only' : 'read-write';
  const where = holder ? (map.block(holder)?.path ?? '') : '';
  return { kind: 'claim', access, path, where, devnum };
}

function dedupe(devnums: readonly Devnum[]): Devnum[] {
  return devnums.filter((a, index) => devnums.findIndex((b) => sameDevnum(a, b)) === index);
}
