import { mapperIoctl } from './dm-ioctls.js';
import {
  EINVAL,
  ENODEV,
  ENOENT,
  ENOTTY,
  ENXIO,
  Errno,
  FILES_DEV,
  type Kernel,
} from './kernel/kernel.js';
import type { Disk } from './kernel/nodes.js';
import type { SimulatedProcess } from './process.js';

const INFO_SIZE = 232;
const NS_GET_USERNS = 0xb701;
/** Its inode number is that of include/linux/proc_ns.h, PROC_USER_INIT_INO. */
const FIRST_USER_NAMESPACE = { kind: 'char', path: 'user:[1]', ino: 0xeffffffdn } as const;
const FLAGS = { isPath: false, isWritable: false, isExclusive: false };

/** The number of the file system, in the form of glibc's makedev for numbers below 256. */
const FILES = BigInt((FILES_DEV.major << 8) | FILES_DEV.minor);

/** Carries out ioctl(2) on a block device, or on the control node of a driver. */
export function blockIoctl(
  process: SimulatedProcess,
  fd: number,
  request: number,
  argument: Buffer | number,
): number {
  const file = process.file(fd);
  const { kernel, scheduler } = process.world;
  if (file.node.kind === 'char') {
    if (request === NS_GET_USERNS) return process.addFd(kernel.open(FIRST_USER_NAMESPACE, FLAGS));
    if (Buffer.isBuffer(argument)) return mapperIoctl(process, request, argument);
    return loopControl(kernel, request, argument);
  }
  const { disk } = file;
  if (disk === undefined) throw new Errno(ENOTTY);
  const bytes = Buffer.isBuffer(argument) ? argument : Buffer.alloc(304);
  switch (request) {
    case 0x125d: // BLKROSET
      disk.readOnly = bytes.readInt32LE() !== 0;
      return 0;
    case 0x125e: // BLKROGET
      return bytes.writeInt32LE(disk.readOnly ? 1 : 0) - 4;
    case 0x1268: // BLKSSZGET
      return bytes.writeInt32LE(512) - 4;
    case 0x80081272: // BLKGETSIZE64
      return bytes.writeBigUInt64LE(disk.size) - 8;
    case 0x80081280: // BLKGETDISKSEQ
      return bytes.writeBigUInt64LE(disk.diskseq) - 8;
    case 0x4c01: // LOOP_CLR_FD
      kernel.clearLoop(disk);
      return 0;
    case 0x4c04: // LOOP_SET_STATUS64
      boundOf(disk).flags = bytes.readUInt32LE(52);
      return 0;
    case 0x4c05: // LOOP_GET_STATUS64
      return fillStatus(disk, bytes);
    case 0x4c0a: {
      // LOOP_CONFIGURE
      const backing = process.file(bytes.readUInt32LE(0));
      const info = bytes.subarray(8, 8 + INFO_SIZE);
      const [offset, sizeLimit] = [info.readBigUInt64LE(24), info.readBigUInt64LE(32)];
      kernel.bindLoop(disk, backing, { offset, sizeLimit, flags: info.readUInt32LE(52) });
      scheduler.tell(process.name, () => `binds ${disk.name} to ${pathOf(disk)}`);
      return 0;
    }
    default:
      throw new Errno(ENOTTY);
  }
}

function pathOf(disk: Disk): string {
  return disk.loop?.bound?.path ?? 'nothing';
}

function loopControl(kernel: Kernel, request: number, number: number): number {
  switch (request) {
    case 0x4c80: {
      // LOOP_CTL_ADD
      let free = 0;
      while (kernel.disks.has(`loop${free}`)) free++;
      kernel.addLoop(free);
      return free;
    }
    case 0x4c81: // LOOP_CTL_REMOVE
      kernel.removeLoop(number);
      return number;
    case 0x4c82: // LOOP_CTL_GET_FREE
      return kernel.freeLoop();
    default:
      throw new Errno(EINVAL);
  }
}

function boundOf(disk: Disk) {
  const bound = disk.loop?.bound;
  if (bound === undefined || disk.loop?.rundown) throw new Errno(ENXIO);
  return bound;
}

/** Fills the `struct loop_info64` of linux/loop.h. */
function fillStatus(disk: Disk, info: Buffer): number {
  const bound = boundOf(disk);
  info.fill(0, 0, INFO_SIZE);
  info.writeBigUInt64LE(FILES, 0);
  info.writeBigUInt64LE(bound.file.node.ino, 8);
  info.writeBigUInt64LE(bound.offset, 24);
  info.writeBigUInt64LE(bound.sizeLimit, 32);
  info.writeUInt32LE(disk.loop?.number ?? 0, 40);
  info.writeUInt32LE((bound.flags & ~1) | (disk.readOnly ? 1 : 0), 52);
  return 0;
}

/** Carries out the addon's own call, which fills records of 256 bytes (native/loop_statuses.cc). */
export function loopStatuses(kernel: Kernel, records: Buffer): number {
  for (let at = 0; at < records.length; at += 256) {
    const number = records.readUInt32LE(at);
    const disk = kernel.disks.get(`loop${number}`);
    records.writeUInt32LE(0, at + 8);
    try {
      if (!kernel.hasLoopNodes) throw new Errno(ENOENT);
      if (disk === undefined) throw new Errno(ENODEV);
      records.writeBigUInt64LE(BigInt((disk.devnum.major << 8) | disk.devnum.minor), at + 16);
      records.writeUInt32LE(2, at + 8);
      fillStatus(disk, records.subarray(at + 24, at + 256));
      records.writeInt32LE(0, at + 4);
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      records.writeInt32LE(error.errno, at + 4);
    }
  }
  return 0;
}
