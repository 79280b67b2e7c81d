import { ioctlSync } from './calls.js';
import type { OwnedFd } from './fd.js';

// linux/fs.h. block/ioctl.c answers all of these from memory, without a lock.
const BLKROSET = { name: 'BLKROSET', number: 0x125d };
const BLKROGET = { name: 'BLKROGET', number: 0x125e };
const BLKSSZGET = { name: 'BLKSSZGET', number: 0x1268 };
const BLKGETSIZE64 = { name: 'BLKGETSIZE64', number: 0x80081272 };
const BLKGETDISKSEQ = { name: 'BLKGETDISKSEQ', number: 0x80081280 };

/**
 * The disk sequence number (Linux 5.15 and later): no two disks since boot have the same one. On a
 * partition it is the number of the whole disk. Throws `ENOTTY` on older kernels.
 */
export async function getDiskseq(device: OwnedFd): Promise<bigint> {
  return (await fill(device, BLKGETDISKSEQ, 8)).readBigUInt64LE();
}

/** Size in bytes. */
export async function getSize(device: OwnedFd): Promise<bigint> {
  return (await fill(device, BLKGETSIZE64, 8)).readBigUInt64LE();
}

/** Logical block size in bytes. */
export async function getBlockSize(device: OwnedFd): Promise<number> {
  return (await fill(device, BLKSSZGET, 4)).readInt32LE();
}

/** Whether writes to the device are refused. Opening it for writing succeeds all the same, often. */
export async function isReadOnly(device: OwnedFd): Promise<boolean> {
  return (await fill(device, BLKROGET, 4)).readInt32LE() !== 0;
}

/** Lets a device be written that somebody has set read-only (`blockdev --setro`). */
export function setWritable(device: OwnedFd): void {
  ioctlSync(device.fd, BLKROSET, Buffer.alloc(4), device.name);
}

async function fill(
  device: OwnedFd,
  request: { readonly name: string; readonly number: number },
  bytes: number,
): Promise<Buffer> {
  const buffer = Buffer.alloc(bytes);
  ioctlSync(device.fd, request, buffer, device.name);
  return buffer;
}
