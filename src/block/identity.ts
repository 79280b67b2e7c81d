import { getDiskseq } from '../linux/block-ioctl.js';
import { type MapperState, readMapper } from '../linux/device-mapper.js';
import { type Devnum, devnumFromStat, formatDevnum, LOOP_MAJOR } from '../linux/devnum.js';
import { isSystemError } from '../linux/errno.js';
import type { OwnedFd } from '../linux/fd.js';
import { getLoopStatus, type LoopStatus } from '../linux/loop-ioctl.js';
import { findBlock, readAttribute, readDevnum, type SysfsBlock } from '../linux/sysfs.js';
import { BlockError } from './block-error.js';
import { isUnknownToDevice, oldKernel } from './old-kernel.js';

/**
 * What the kernel says of an open block device. While the descriptor is open the number belongs to
 * this device. The disk sequence number tells which disk it is, not what is on it: the backing file
 * and window of a loop device can be exchanged underneath (and before Linux 6.5, 6.1.39 and mid-2023
 * 5.15 a reused loop device even kept its number), and so can the table of a mapper device: hence
 * `loop` and `mapper`.
 */
export interface DeviceIdentity {
  readonly devnum: Devnum;
  /** Of the whole disk, also where this is a partition. */
  readonly diskseq: bigint;
  /** Number and place of a partition; `undefined` for a whole disk. */
  readonly partition: PartitionIdentity | undefined;
  /** For a loop device: what it stands on. */
  readonly loop: LoopStatus | undefined;
  /** For a mapper device: name, UUID, table, and the state it was found in. */
  readonly mapper: MapperState | undefined;
}

/** Which part of its disk a partition is; in sectors of 512 bytes, as sysfs has it. */
export interface PartitionIdentity {
  readonly number: number;
  readonly start: string | undefined;
  readonly size: string | undefined;
}

/**
 * Identifies an open block device, until `signal` is aborted. Throws `BlockError`, `SystemError`.
 *
 * @param known its identity as it was found before, if the device has been open since: then the file of a
 *   loop device need not be asked again. Whoever exchanges that file raises the sequence number
 *   (drivers/block/loop.c, loop_change_fd: disk_force_media_change, Linux 5.15 and later).
 */
export async function identify(
  device: OwnedFd,
  signal?: AbortSignal,
  known?: DeviceIdentity,
): Promise<DeviceIdentity> {
  const devnum = devnumFromStat(device.inode.rdev);
  const diskseq = await readDiskseq(device);
  const block = findBlock(devnum);
  const partition = readPartition(block);
  // Partitions of a loop device have another major number; they stand on its file all the same.
  const disk = partition === undefined ? devnum : readDevnum(block.diskDirectory);
  const readLoop = async (): Promise<LoopStatus> =>
    known?.loop === undefined
      ? await readLoopStatus(device, signal)
      : readLoopWindow(device, block, known.loop);
  const loop = disk?.major === LOOP_MAJOR ? await readLoop() : undefined;
  const mapper = await readMapperState(device, devnum, block, signal);
  return { devnum, diskseq, partition, loop, mapper };
}

/** The mapper is asked by number, which the open descriptor keeps. */
async function readMapperState(
  device: OwnedFd,
  devnum: Devnum,
  block: SysfsBlock,
  signal: AbortSignal | undefined,
): Promise<MapperState | undefined> {
  if (readAttribute(block.directory, 'dm/name') === undefined) return undefined;
  const state = await readMapper({ devnum }, signal);
  if (state !== undefined) return state;
  throw new BlockError(`${device.name} is going away: device-mapper does not know it any more`, {
    code: 'ENXIO',
    syscall: 'DM_TABLE_STATUS',
  });
}

function readPartition({ directory, partition }: SysfsBlock): PartitionIdentity | undefined {
  if (partition === undefined) return undefined;
  const [start, size] = ['start', 'size'].map((name) => readAttribute(directory, name));
  return { number: partition, start, size };
}

async function readDiskseq(device: OwnedFd): Promise<bigint> {
  try {
    return await getDiskseq(device);
  } catch (error) {
    throw isUnknownToDevice(error) ? oldKernel(device, error) : error;
  }
}

async function readLoopStatus(device: OwnedFd, signal?: AbortSignal): Promise<LoopStatus> {
  try {
    return await getLoopStatus(device, signal);
  } catch (error) {
    if (!isSystemError(error, 'ENXIO')) throw error;
    throw withoutFile(device, error);
  }
}

/** What memory tells of a loop device that was known before: its window. */
function readLoopWindow(
  device: OwnedFd,
  { diskDirectory }: SysfsBlock,
  known: LoopStatus,
): LoopStatus {
  const [offset, sizeLimit] = ['offset', 'sizelimit'].map((name) =>
    readAttribute(diskDirectory, `loop/${name}`),
  );
  if (offset === undefined || sizeLimit === undefined) throw withoutFile(device);
  return { ...known, offset: BigInt(offset), sizeLimit: BigInt(sizeLimit) };
}

function withoutFile(device: OwnedFd, cause?: unknown): BlockError {
  return new BlockError(`${device.name} is a loop device without a backing file`, {
    code: 'ENXIO',
    syscall: 'LOOP_GET_STATUS64',
    cause,
  });
}

/**
 * Says what differs between two identities, in words for the end of a sentence; `undefined` when
 * nothing does. A loop device's autoclear flag is anybody's to change and says nothing.
 */
export function identityDifference(
  expected: DeviceIdentity,
  found: DeviceIdentity,
): string | undefined {
  const rows: [string, unknown, unknown][] = [
    ['device number', formatDevnum(expected.devnum), formatDevnum(found.devnum)],
    ['diskseq', expected.diskseq, found.diskseq],
    ['partition', expected.partition?.number, found.partition?.number],
    ['partition start', expected.partition?.start, found.partition?.start],
    ['backing file (device)', expected.loop?.device, found.loop?.device],
    ['backing file (inode)', expected.loop?.inode, found.loop?.inode],
    ['loop offset', expected.loop?.offset, found.loop?.offset],
    ['loop size limit', expected.loop?.sizeLimit, found.loop?.sizeLimit],
    ['mapper name', expected.mapper?.name, found.mapper?.name],
    ['mapper UUID', expected.mapper?.uuid, found.mapper?.uuid],
    ...tableRows(expected.mapper, found.mapper),
  ];
  const row = rows.find(([, a, b]) => a !== b);
  return row && `${row[0]} ${String(row[1])} was expected, ${String(row[2])} found`;
}

function tableRows(
  expected: MapperState | undefined,
  found: MapperState | undefined,
): [string, unknown, unknown][] {
  if (expected && found && isResized(expected, found)) return [];
  return [['mapper table', formatTable(expected), formatTable(found)]];
}

/**
 * Whether a table is another one, but only at its end: as much of the device as both have is what it
 * was, which is so when a volume is made larger or smaller.
 */
function isResized(a: MapperState, b: MapperState): boolean {
  const common = Math.min(a.targets.length, b.targets.length);
  if (common === 0) return false;
  return a.targets.slice(0, common).every((one, index) => {
    const other = b.targets[index];
    const isSame =
      one.start === other?.start && one.type === other.type && one.params === other.params;
    if (!isSame || one.length === other.length) return isSame;
    // The shorter line has to be the end of its device.
    const shorter = one.length < other.length ? a : b;
    return index === shorter.targets.length - 1;
  });
}

/** The table as `dmsetup table` shows it, on one line. */
export function formatTable(mapper: MapperState | undefined): string | undefined {
  return mapper?.targets
    .map(({ start, length, type, params }) => `${start} ${length} ${type} ${params}`.trimEnd())
    .join('; ');
}
