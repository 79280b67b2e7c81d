import { ioctl } from '../../../../src/linux/calls.js';
import { O_RDONLY, O_RDWR, OwnedFd } from '../../../../src/linux/fd.js';

// The numbers are from linux/loop.h.
const LOOP_SET_STATUS64 = { name: 'LOOP_SET_STATUS64', number: 0x4c04 };
const LOOP_GET_STATUS64 = { name: 'LOOP_GET_STATUS64', number: 0x4c05 };
const LOOP_CHANGE_FD = { name: 'LOOP_CHANGE_FD', number: 0x4c06 };
const INFO_SIZE = 232;
const OFFSET = 24;
const SIZE_LIMIT = 32;

/** Moves the window of a bound loop device, as any other root process could. */
export async function setLoopWindow(
  path: string,
  window: { readonly offset?: bigint; readonly sizeLimit?: bigint },
): Promise<void> {
  await using loop = await OwnedFd.open(path, O_RDONLY);
  const info = Buffer.alloc(INFO_SIZE);
  await ioctl(loop.fd, LOOP_GET_STATUS64, info, path);
  if (window.offset !== undefined) info.writeBigUInt64LE(window.offset, OFFSET);
  if (window.sizeLimit !== undefined) info.writeBigUInt64LE(window.sizeLimit, SIZE_LIMIT);
  await ioctl(loop.fd, LOOP_SET_STATUS64, info, path);
}

/** Exchanges the file below a bound read-only loop device for another file of the same size. */
export async function changeLoopFile(path: string, image: string): Promise<void> {
  await using file = await OwnedFd.open(image, O_RDWR);
  await using loop = await OwnedFd.open(path, O_RDONLY);
  await ioctl(loop.fd, LOOP_CHANGE_FD, file.fd, path);
}
