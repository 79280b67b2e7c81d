import type { OwnedFd } from './fd.js';
import { ioctl } from './ffi.js';

// linux/fs.h
const BLKROGET = { name: 'BLKROGET', number: 0x125e };
const BLKSSZGET = { name: 'BLKSSZGET', number: 0x1268 };
const BLKGETSIZE64 = { name: 'BLKGETSIZE64', number: 0x80081272 };
const BLKGETDISKSEQ = { name: 'BLKGETDISKSEQ', number: 0x80081280 };

/**
 * The disk sequence number (Linux 5.15 and later): no two disks since boot have the same one. On a
 * partition it is the number of the whole disk. Throws `ENOTTY` on older kernels.
 */
export async function getDiskseq(device: OwnedFd): Promise<bigint> {
  const buffer = Buffer.alloc(8);
  await ioctl(device.fd, BLKGETDISKSEQ, buffer, device.name);
  return buffer.readBigUInt64LE();
}

/** Size in bytes. */
export async function getSize(device: OwnedFd): Promise<bigint> {
  const buffer = Buffer.alloc(8);
  await ioctl(device.fd, BLKGETSIZE64, buffer, device.name);
  return buffer.readBigUInt64LE();
}

/** Logical block size in bytes. */
export async function getBlockSize(device: OwnedFd): Promise<number> {
  const buffer = Buffer.alloc(4);
  await ioctl(device.fd, BLKSSZGET, buffer, device.name);
  return buffer.readInt32LE();
}

/** Whether writes to the device are refused. Opening it for writing succeeds all the same, often. */
export async function isReadOnly(device: OwnedFd): Promise<boolean> {
  const buffer = Buffer.alloc(4);
  await ioctl(device.fd, BLKROGET, buffer, device.name);
  return buffer.readInt32LE() !== 0;
}
