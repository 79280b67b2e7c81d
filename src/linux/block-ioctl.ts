import { ioctlSync } from './calls.js';
import type { OwnedFd } from './fd.js';

// linux/fs.h. block/ioctl.c answers all of these requests from memory and takes no lock.
const BLKROSET = { name: 'BLKROSET', number: 0x125d };
const BLKROGET = { name: 'BLKROGET', number: 0x125e };
const BLKSSZGET = { name: 'BLKSSZGET', number: 0x1268 };
const BLKGETSIZE64 = { name: 'BLKGETSIZE64', number: 0x80081272 };
const BLKGETDISKSEQ = { name: 'BLKGETDISKSEQ', number: 0x80081280 };

/**
 * Returns the disk sequence number (Linux 5.15 and later). No two disks since boot have the same
 * number. A partition has the number of its whole disk. Throws `SystemError` with the code `ENOTTY`
 * on older kernels.
 */
export async function getDiskseq(device: OwnedFd): Promise<bigint> {
  return (await fill(device, BLKGETDISKSEQ, 8)).readBigUInt64LE();
}

/** Returns the size of a device in bytes. */
export async function getSize(device: OwnedFd): Promise<bigint> {
  return (await fill(device, BLKGETSIZE64, 8)).readBigUInt64LE();
}

/** Returns the logical block size of a device in bytes. */
export async function getBlockSize(device: OwnedFd): Promise<number> {
  return (await fill(device, BLKSSZGET, 4)).readInt32LE();
}

/**
 * Tells whether the kernel refuses writes to a device. An open for writing often succeeds all the
 * same.
 */
export async function isReadOnly(device: OwnedFd): Promise<boolean> {
  return (await fill(device, BLKROGET, 4)).readInt32LE() !== 0;
}

/** Makes a device writable that was set read-only (`blockdev --setro`). */
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
