import { type IoctlOptions, ioctl } from './calls.js';
import type { OwnedFd } from './fd.js';

// linux/loop.h
const LOOP_CLR_FD = { name: 'LOOP_CLR_FD', number: 0x4c01 };
const LOOP_SET_STATUS64 = { name: 'LOOP_SET_STATUS64', number: 0x4c04 };
const LOOP_GET_STATUS64 = { name: 'LOOP_GET_STATUS64', number: 0x4c05 };
const LOOP_SET_CAPACITY = { name: 'LOOP_SET_CAPACITY', number: 0x4c07 };
const LOOP_CONFIGURE = { name: 'LOOP_CONFIGURE', number: 0x4c0a };
const LOOP_CTL_ADD = { name: 'LOOP_CTL_ADD', number: 0x4c80 };
const LOOP_CTL_REMOVE = { name: 'LOOP_CTL_REMOVE', number: 0x4c81 };
const LOOP_CTL_GET_FREE = { name: 'LOOP_CTL_GET_FREE', number: 0x4c82 };

export const LO_FLAGS_READ_ONLY = 1;
export const LO_FLAGS_AUTOCLEAR = 4;
export const LO_FLAGS_PARTSCAN = 8;
export const LO_FLAGS_DIRECT_IO = 16;

// struct loop_info64: 232 bytes.
const INFO_SIZE = 232;
const INFO = {
  device: 0,
  inode: 8,
  rdevice: 16,
  offset: 24,
  sizelimit: 32,
  number: 40,
  flags: 52,
  fileName: 56,
};
const FILE_NAME_SIZE = 64;
// struct loop_config: __u32 fd, __u32 block_size, struct loop_info64, __u64 reserved[8].
const CONFIG_SIZE = 304;
const CONFIG = { fd: 0, blockSize: 4, info: 8 };

/** What the kernel says of a bound loop device. */
export interface LoopStatus {
  /** st_dev of the backing file, as stat(2) has it. */
  readonly device: bigint;
  readonly inode: bigint;
  /** st_rdev of what backs it: 0 for a file, a block device's number where it stands on one. */
  readonly rdevice: bigint;
  /** Bytes. */
  readonly offset: bigint;
  /** Bytes; 0 means up to the end of the file. */
  readonly sizeLimit: bigint;
  readonly number: number;
  readonly flags: number;
}

/** What a loop device is to become. */
export interface LoopConfig {
  readonly backingFd: number;
  /** Logical block size: a power of two from 512 to the page size. To be checked before: a refused one has side effects. */
  readonly blockSize: number;
  readonly offset: bigint;
  readonly sizeLimit: bigint;
  readonly flags: number;
  /** For people (`losetup`); the kernel keeps 63 bytes of it. */
  readonly fileName: string;
}

/** `LOOP_CTL_GET_FREE`: the lowest unbound number, made if there is none. It is not reserved. */
export function getFreeLoop(control: OwnedFd, options: IoctlOptions = {}): Promise<number> {
  return ioctl(control.fd, LOOP_CTL_GET_FREE, 0, control.name, options);
}

/** `LOOP_CTL_ADD` with a negative number: makes a new loop device and returns its number. */
export function addLoop(control: OwnedFd, options: IoctlOptions = {}): Promise<number> {
  return ioctl(control.fd, LOOP_CTL_ADD, -1, control.name, options);
}

/** `LOOP_CTL_REMOVE`: takes a loop device away. Throws `EBUSY` for one that is bound or open. */
export async function removeLoop(
  control: OwnedFd,
  number: number,
  signal?: AbortSignal,
): Promise<void> {
  await ioctl(control.fd, LOOP_CTL_REMOVE, number, control.name, { signal });
}

/** `LOOP_CONFIGURE` (Linux 5.8 and later): backing file, window, block size and flags at once. */
export async function configureLoop(
  loop: OwnedFd,
  config: LoopConfig,
  options: IoctlOptions = {},
): Promise<void> {
  await ioctl(loop.fd, LOOP_CONFIGURE, encodeLoopConfig(config), loop.name, {
    ...options,
    alsoUses: [config.backingFd],
  });
}

/** The bytes of `struct loop_config`. */
export function encodeLoopConfig(config: LoopConfig): Buffer {
  const buffer = Buffer.alloc(CONFIG_SIZE);
  buffer.writeUInt32LE(config.backingFd, CONFIG.fd);
  buffer.writeUInt32LE(config.blockSize, CONFIG.blockSize);
  const info = buffer.subarray(CONFIG.info, CONFIG.info + INFO_SIZE);
  info.writeBigUInt64LE(config.offset, INFO.offset);
  info.writeBigUInt64LE(config.sizeLimit, INFO.sizelimit);
  info.writeUInt32LE(config.flags, INFO.flags);
  // write() never splits a UTF-8 character, so what is cut off is cut off cleanly.
  info.subarray(INFO.fileName, INFO.fileName + FILE_NAME_SIZE - 1).write(config.fileName, 'utf8');
  return buffer;
}

/**
 * Status of a bound loop device; throws `ENXIO` for one that is not bound. The kernel asks the backing
 * file for its attributes (loop_get_status, vfs_getattr), so that it waits for a file server.
 */
export async function getLoopStatus(loop: OwnedFd, signal?: AbortSignal): Promise<LoopStatus> {
  return decodeLoopStatus(await readInfo(loop, signal));
}

/** Reads the bytes of `struct loop_info64`. */
export function decodeLoopStatus(info: Buffer): LoopStatus {
  return {
    device: info.readBigUInt64LE(INFO.device),
    inode: info.readBigUInt64LE(INFO.inode),
    rdevice: info.readBigUInt64LE(INFO.rdevice),
    offset: info.readBigUInt64LE(INFO.offset),
    sizeLimit: info.readBigUInt64LE(INFO.sizelimit),
    number: info.readUInt32LE(INFO.number),
    flags: info.readUInt32LE(INFO.flags),
  };
}

/** Turns automatic clearing on last close on or off; everything else stays. */
export async function setAutoclear(
  loop: OwnedFd,
  on: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const info = await readInfo(loop, signal);
  const flags = info.readUInt32LE(INFO.flags);
  info.writeUInt32LE(on ? flags | LO_FLAGS_AUTOCLEAR : flags & ~LO_FLAGS_AUTOCLEAR, INFO.flags);
  await ioctl(loop.fd, LOOP_SET_STATUS64, info, loop.name, { signal });
}

/** Unbinds the device; while others have it open, the kernel does so when the last one closes it. */
export async function clearLoop(loop: OwnedFd, signal?: AbortSignal): Promise<void> {
  await ioctl(loop.fd, LOOP_CLR_FD, 0, loop.name, { signal });
}

/** Makes the device as large as its file is by now, within its window. */
export async function updateLoopSize(loop: OwnedFd, signal?: AbortSignal): Promise<void> {
  await ioctl(loop.fd, LOOP_SET_CAPACITY, 0, loop.name, { signal });
}

async function readInfo(loop: OwnedFd, signal: AbortSignal | undefined): Promise<Buffer> {
  const info = Buffer.alloc(INFO_SIZE);
  await ioctl(loop.fd, LOOP_GET_STATUS64, info, loop.name, { signal });
  return info;
}
