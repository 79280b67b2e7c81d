import { countOwnOpens, type Holder, listDiskHolders, listHolders } from '../block/holders.js';
import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import type { MapperState } from '../linux/mapper-state.js';
import { familiarMapper } from './familiar-name.js';
import type { ConflictQuery, UnexplainedUse } from './local-use.js';
import { scanLoops } from './scan-loops.js';
import { isAutoclearLoop, isReadOnly } from './stacked-block.js';
import type { StorageSnapshot } from './storage-snapshot.js';

/**
 * Finds the bound loop devices over the queried bytes that clear themselves and that nothing
 * explains. Each of them has an opener by definition (drivers/block/loop.c, lo_release), and the
 * opener can read and write through it.
 *
 * A vbd may have such a loop device open and not forbid the export: both only read, although the
 * loop device could be written. The vbd then explains an opener that cannot be seen, and no process
 * that can be seen.
 */
export async function findUnexplainedLoops(
  snapshot: StorageSnapshot,
  { known, extents, nearby, clashes, isOpenForGuest }: ConflictQuery,
): Promise<UnexplainedUse[]> {
  const found: UnexplainedUse[] = [];
  for (const devnum of nearby.loops) {
    if (known.has(formatDevnum(devnum)) || !isAutoclearLoop(devnum)) continue;
    const reach = await snapshot.reachWithin(devnum, extents);
    const access = isReadOnly(devnum) ? 'read-only' : 'read-write';
    if (reach === undefined || !clashes(access, reach.extents)) continue;
    const holders = await listDiskHolders(devnum);
    if (holders.length === 0 && isOpenForGuest(devnum)) continue;
    if (holders.every(isProcess)) found.push(describe(snapshot, devnum, holders));
  }
  return found;
}

/**
 * Finds an opener of a mapper device that nothing explains; `undefined` where there is none. A
 * process that has the device open explains itself here.
 *
 * device-mapper counts the openers of its devices (`dmsetup info`), and no other driver does so.
 * Each descriptor of a process counts, and so does each file system, swap space, loop device and
 * other device on top.
 *
 * @param guests devices that blkback has open for guests.
 */
export async function findUnexplainedOpener(
  snapshot: StorageSnapshot,
  devnum: Devnum,
  guests: readonly Devnum[],
): Promise<UnexplainedUse | undefined> {
  let left = (await snapshot.mapper(devnum))?.openCount ?? 0;
  left -= guests.filter((guest) => sameDevnum(guest, devnum)).length;
  // The cheaper question comes first, and is usually enough.
  if (left > 0) left -= countOwnOpens(devnum);
  if (left <= 0) return undefined;
  const holders = await listHolders(devnum);
  for (const { opens } of holders) left -= opens;
  if (left > 0) left -= await countLoopsOver(snapshot, devnum);
  return left > 0 ? describe(snapshot, devnum, holders.filter(isProcess)) : undefined;
}

/**
 * Finds an opener of a mapper device that is in no list of the kernel: it is neither a mount, nor
 * swap, nor a device on top. Such an opener is a program, or blkback for a vbd that has ended. Returns
 * `undefined` where there is none.
 */
export async function findUnlistedOpener(
  snapshot: StorageSnapshot,
  mapper: MapperState,
): Promise<UnexplainedUse | undefined> {
  const { devnum } = mapper;
  let left = mapper.openCount;
  if (left > 0) left -= countOwnOpens(devnum);
  if (left <= 0) return undefined;
  const holders = await listHolders(devnum);
  for (const holder of holders) if (!isProcess(holder)) left -= holder.opens;
  if (left > 0) left -= await countLoopsOver(snapshot, devnum);
  if (left <= 0) return undefined;
  return {
    ...describe(snapshot, devnum, holders.filter(isProcess)),
    holder: familiarMapper(mapper),
  };
}

/**
 * Counts the loop devices over a device. A loop device has the device below it open, but sysfs does
 * not show the loop device among the holders of that device.
 */
async function countLoopsOver(snapshot: StorageSnapshot, devnum: Devnum): Promise<number> {
  const isOver = async (loop: Devnum): Promise<boolean> => {
    // A loop device that does not answer explains nothing.
    const lower = (await snapshot.loop(loop).catch(() => undefined))?.rdevice ?? 0n;
    return lower !== 0n && sameDevnum(devnumFromStat(lower), devnum);
  };
  const all = await Promise.all((await scanLoops(true)).map(isOver));
  return all.filter(Boolean).length;
}

function isProcess({ kind }: Holder): boolean {
  return kind === 'process';
}

function describe(
  snapshot: StorageSnapshot,
  devnum: Devnum,
  processes: readonly Holder[],
): UnexplainedUse {
  const block = snapshot.block(devnum);
  return {
    kind: 'unexplained',
    access: block?.readOnly ? 'read-only' : 'read-write',
    path: block?.path ?? formatDevnum(devnum),
    devnum,
    processes: processes.map(({ name }) => name),
  };
}
