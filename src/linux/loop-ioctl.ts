import { type IoctlOptions, ioctl } from './calls.js';
import type { OwnedFd } from './fd.js';
import { holdBack } from './held-descriptors.js';

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

/** The kernel's description of a bound loop device. */
export interface LoopStatus {
  /** st_dev of the backing file, as in stat(2). */
  readonly device: bigint;
  readonly inode: bigint;
  /** st_rdev of the backing file: 0 for a regular file, the device number for a block device. */
  readonly rdevice: bigint;
  /** Bytes. */
  readonly offset: bigint;
  /** Bytes; 0 means up to the end of the file. */
  readonly sizeLimit: bigint;
  readonly number: number;
  readonly flags: number;
}

/** The properties that a loop device is to have. */
export interface LoopConfig {
  readonly backingFd: number;
  /**
   * Logical block size in bytes: a power of two from 512 to the page size. The caller must check
   * it, because LOOP_CONFIGURE has side effects when it refuses a block size.
   */
  readonly blockSize: number;
  readonly offset: bigint;
  readonly sizeLimit: bigint;
  readonly flags: number;
  /** The name of the file for people (`losetup`). The kernel keeps 63 bytes of it. */
  readonly fileName: string;
}

/**
 * Returns the lowest number of an unbound loop device, which the kernel makes if there is none
 * (`LOOP_CTL_GET_FREE`). The device is not reserved. Throws as `blockingCall` does.
 */
export function getFreeLoop(control: OwnedFd, options: IoctlOptions = {}): Promise<number> {
  return ioctl(control.fd, LOOP_CTL_GET_FREE, 0, control.name, options);
}

/** Makes a new loop device and returns its number (`LOOP_CTL_ADD` with a negative number). */
export function addLoop(control: OwnedFd, options: IoctlOptions = {}): Promise<number> {
  return ioctl(control.fd, LOOP_CTL_ADD, -1, control.name, options);
}

/**
 * Removes a loop device (`LOOP_CTL_REMOVE`). Throws `SystemError` with the code `EBUSY` for a
 * device that is bound or open.
 */
export async function removeLoop(
  control: OwnedFd,
  number: number,
  signal?: AbortSignal,
): Promise<void> {
  await ioctl(control.fd, LOOP_CTL_REMOVE, number, control.name, { signal });
}

/**
 * Binds a loop device and sets its window, block size and flags in one call (`LOOP_CONFIGURE`,
 * Linux 5.8 and later).
 */
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

/** Encodes `struct loop_config`. */
export function encodeLoopConfig(config: LoopConfig): Buffer {
  const buffer = Buffer.alloc(CONFIG_SIZE);
  buffer.writeUInt32LE(config.backingFd, CONFIG.fd);
  buffer.writeUInt32LE(config.blockSize, CONFIG.blockSize);
  const info = buffer.subarray(CONFIG.info, CONFIG.info + INFO_SIZE);
  info.writeBigUInt64LE(config.offset, INFO.offset);
  info.writeBigUInt64LE(config.sizeLimit, INFO.sizelimit);
  info.writeUInt32LE(config.flags, INFO.flags);
  // write() never splits a UTF-8 character, so a name that is too long is cut between two
  // characters.
  info.subarray(INFO.fileName, INFO.fileName + FILE_NAME_SIZE - 1).write(config.fileName, 'utf8');
  return buffer;
}

/**
 * Reads the status of a bound loop device. The kernel asks the backing file for its attributes, so
 * this call may wait for a file server (loop_get_status, vfs_getattr). Throws `SystemError` with
 * the code `ENXIO` for a device that is not bound.
 */
export async function getLoopStatus(loop: OwnedFd, signal?: AbortSignal): Promise<LoopStatus> {
  return decodeLoopStatus(await readInfo(loop, signal));
}

/** Decodes `struct loop_info64`. */
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

/** Switches automatic clearing on the last close on or off. Everything else stays as it is. */
export async function setAutoclear(
  loop: OwnedFd,
  on: boolean,
  options: IoctlOptions = {},
): Promise<void> {
  const info = await readInfo(loop, options.signal);
  const flags = info.readUInt32LE(INFO.flags);
  info.writeUInt32LE(on ? flags | LO_FLAGS_AUTOCLEAR : flags & ~LO_FLAGS_AUTOCLEAR, INFO.flags);
  await ioctl(loop.fd, LOOP_SET_STATUS64, info, loop.name, options);
}

/**
 * Switches automatic clearing off, so that the device stays bound after its last close. A call that
 * was given up may still do so. Then the device is made to clear itself again, before its descriptor
 * closes.
 *
 * @param onAbandoned called when the call is given up.
 */
export async function keepBound(
  loop: OwnedFd,
  { signal, onAbandoned }: Pick<IoctlOptions, 'signal' | 'onAbandoned'>,
): Promise<void> {
  const { fd, name } = loop;
  const onAbandonedSuccess = (): void => {
    holdBack(
      fd,
      clearDescriptor(fd, name).catch(() => undefined),
    );
  };
  await setAutoclear(loop, false, { signal, onAbandoned, onAbandonedSuccess });
}

/**
 * Unbinds a loop device. If other processes have the device open, the kernel unbinds it with the
 * last close.
 */
export async function clearLoop(loop: OwnedFd, signal?: AbortSignal): Promise<void> {
  await clearDescriptor(loop.fd, loop.name, signal);
}

async function clearDescriptor(fd: number, name: string, signal?: AbortSignal): Promise<void> {
  await ioctl(fd, LOOP_CLR_FD, 0, name, { signal });
}

/** Makes a loop device as large as its file is now, within its window. */
export async function updateLoopSize(loop: OwnedFd, signal?: AbortSignal): Promise<void> {
  await ioctl(loop.fd, LOOP_SET_CAPACITY, 0, loop.name, { signal });
}

async function readInfo(loop: OwnedFd, signal: AbortSignal | undefined): Promise<Buffer> {
  const info = Buffer.alloc(INFO_SIZE);
  await ioctl(loop.fd, LOOP_GET_STATUS64, info, loop.name, { signal });
  return info;
}
