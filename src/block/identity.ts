import { getDiskseq } from '../linux/block-ioctl.js';
import { readMapper } from '../linux/device-mapper.js';
import { type Devnum, devnumFromStat, formatDevnum, LOOP_MAJOR } from '../linux/devnum.js';
import { isSystemError } from '../linux/errno.js';
import type { OwnedFd } from '../linux/fd.js';
import { getLoopStatus, type LoopStatus } from '../linux/loop-ioctl.js';
import type { MapperState } from '../linux/mapper-state.js';
import { findBlock, readAttribute, readDevnum, type SysfsBlock } from '../linux/sysfs.js';
import { BlockError } from './block-error.js';
import { isUnknownToDevice, oldKernel } from './old-kernel.js';

/**
 * The kernel's description of an open block device. The device number belongs to this device while
 * the descriptor is open.
 *
 * The disk sequence number identifies the disk and not its content. The backing file and the window
 * of a loop device can be exchanged, and so can the table of a mapper device. Before Linux 6.5,
 * 6.1.39 and 5.15 of mid-2023, a reused loop device even kept its number. This is why an identity
 * has `loop` and `mapper`.
 */
export interface DeviceIdentity {
  readonly devnum: Devnum;
  /** Disk sequence number of the whole disk, also for a partition. */
  readonly diskseq: bigint;
  /** Number and place of the partition; `undefined` for a whole disk. */
  readonly partition: PartitionIdentity | undefined;
  /** File and window of a loop device. */
  readonly loop: LoopStatus | undefined;
  /** Name, UUID, table and momentary state of a mapper device. */
  readonly mapper: MapperState | undefined;
}

/** The part of the disk that a partition covers; in sectors of 512 bytes, as in sysfs. */
export interface PartitionIdentity {
  readonly number: number;
  readonly start: string | undefined;
  readonly size: string | undefined;
}

/**
 * Identifies an open block device. Gives up when `signal` is aborted. Throws `BlockError`,
 * `SystemError`.
 *
 * @param known the identity that was found before, if the device has been open ever since. With it
 *   a loop device's file is not asked again: whoever exchanges the file raises the sequence number
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
  // A partition of a loop device has another major number, but stands on the same file.
  const disk = partition === undefined ? devnum : readDevnum(block.diskDirectory);
  const readLoop = async (): Promise<LoopStatus> =>
    known?.loop === undefined
      ? await readLoopStatus(device, signal)
      : readLoopWindow(device, block, known.loop);
  const loop = disk?.major === LOOP_MAJOR ? await readLoop() : undefined;
  const mapper = await readMapperState(device, devnum, block, signal);
  return { devnum, diskseq, partition, loop, mapper };
}

/** Asks device-mapper by device number, which the open descriptor keeps. */
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

/** Updates the known status of a loop device with the window in sysfs, which is memory. */
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
 * Describes the first difference between two identities, as the end of a sentence. Returns
 * `undefined` if there is none. Anybody may change a loop device's autoclear flag, so it is
 * ignored.
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
 * Tells whether two tables differ at the end only. The part that both devices have is the same
 * then, as when a volume is made larger or smaller.
 */
function isResized(a: MapperState, b: MapperState): boolean {
  const common = Math.min(a.targets.length, b.targets.length);
  if (common === 0) return false;
  return a.targets.slice(0, common).every((one, index) => {
    const other = b.targets[index];
    const isSame =
      one.start === other?.start && one.type === other.type && one.params === other.params;
    if (!isSame || one.length === other.length) return isSame;
    // The shorter line has to be the last line of its device.
    const shorter = one.length < other.length ? a : b;
    return index === shorter.targets.length - 1;
  });
}

/** Formats a table on one line, each line of it as `dmsetup table` shows it. */
export function formatTable(mapper: MapperState | undefined): string | undefined {
  return mapper?.targets
    .map(({ start, length, type, params }) => `${start} ${length} ${type} ${params}`.trimEnd())
    .join('; ');
}
