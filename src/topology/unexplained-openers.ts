import { countOwnOpens, type Holder, listDiskHolders, listHolders } from '../block/holders.js';
import { type MapperState, readMapper } from '../linux/device-mapper.js';
import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import type { DeviceMap } from './device-map.js';
import { familiarMapper } from './familiar-name.js';
import type { Sought, UnexplainedUse } from './local-use.js';
import { scanLoops } from './scan-loops.js';
import { isAutoclearLoop, isReadOnly } from './stacked-block.js';

/**
 * The bound loop devices over the sought bytes that clear themselves and that nobody explains: each has
 * an opener by definition (drivers/block/loop.c, lo_release), who can read and write through it.
 */
export async function findUnexplainedLoops(
  map: DeviceMap,
  { known, extents, nearby, clashes }: Sought,
): Promise<UnexplainedUse[]> {
  const found: UnexplainedUse[] = [];
  for (const devnum of nearby.loops) {
    if (known.has(formatDevnum(devnum)) || !isAutoclearLoop(devnum)) continue;
    const reach = await map.reachWithin(devnum, extents);
    const access = isReadOnly(devnum) ? 'read-only' : 'read-write';
    if (reach === undefined || !clashes(access, reach.extents)) continue;
    const holders = await listDiskHolders(devnum);
    if (holders.every(isProcess)) found.push(describe(map, devnum, holders));
  }
  return found;
}

/**
 * The opener of a mapper device whom nobody explains; `undefined` where there is none. device-mapper
 * counts the openers of its devices (`dmsetup info`), which no other driver does. Each descriptor of a
 * process counts, and each file system, swap space, loop device and other device on top.
 *
 * @param guests devices that blkback has open for guests.
 */
export async function findUnexplainedOpener(
  map: DeviceMap,
  devnum: Devnum,
  guests: readonly Devnum[],
): Promise<UnexplainedUse | undefined> {
  let left = (await readMapper({ devnum }))?.openCount ?? 0;
  left -= guests.filter((guest) => sameDevnum(guest, devnum)).length;
  // The cheaper question comes first, and mostly it is enough.
  if (left > 0) left -= countOwnOpens(devnum);
  if (left <= 0) return undefined;
  const holders = await listHolders(devnum);
  for (const { opens } of holders) left -= opens;
  if (left > 0) left -= await countLoopsOver(map, devnum);
  return left > 0 ? describe(map, devnum, holders.filter(isProcess)) : undefined;
}

/**
 * The opener of a mapper device that nothing else tells of: neither a mount, swap nor a device on top.
 * That is a program, or blkback for a vbd that has ended; `undefined` where there is none.
 */
export async function findUntoldOpener(
  map: DeviceMap,
  mapper: MapperState,
): Promise<UnexplainedUse | undefined> {
  const { devnum } = mapper;
  let left = mapper.openCount;
  if (left > 0) left -= await countOwnOpens(devnum);
  if (left <= 0) return undefined;
  const holders = await listHolders(devnum);
  for (const holder of holders) if (!isProcess(holder)) left -= holder.opens;
  if (left > 0) left -= await countLoopsOver(map, devnum);
  if (left <= 0) return undefined;
  return { ...describe(map, devnum, holders.filter(isProcess)), holder: familiarMapper(mapper) };
}

/** A loop device has what it stands on open, and sysfs does not show it among its holders. */
async function countLoopsOver(map: DeviceMap, devnum: Devnum): Promise<number> {
  const isOver = async (loop: Devnum): Promise<boolean> => {
    // One that does not answer explains nothing.
    const lower = (await map.loop(loop).catch(() => undefined))?.rdevice ?? 0n;
    return lower !== 0n && sameDevnum(devnumFromStat(lower), devnum);
  };
  const all = await Promise.all((await scanLoops(true)).map(isOver));
  return all.filter(Boolean).length;
}

function isProcess({ kind }: Holder): boolean {
  return kind === 'process';
}

function describe(map: DeviceMap, devnum: Devnum, processes: readonly Holder[]): UnexplainedUse {
  const block = map.block(devnum);
  return {
    kind: 'unexplained',
    access: block?.readOnly ? 'read-only' : 'read-write',
    path: block?.path ?? formatDevnum(devnum),
    devnum,
    processes: processes.map(({ name }) => name),
  };
}
