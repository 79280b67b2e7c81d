import { BlkbackError } from '../errors.js';

/**
 * An error about a device that does not exist, cannot be used, or is not the wanted device. `code`
 * is the name of an errno or one of
 * - `EIDENTITY`: the device or its content is not the one that was asked for or found before;
 * - `EREADONLY`: writing is wanted, but the file or device allows reading only;
 * - `EWRITABLE`: only reading is wanted, but the device would let the guest write;
 * - `ENOTDISK`: the path leads to neither a block device nor a regular file, or the device has a
 *   setting that is for files only;
 * - `EWINDOW`: offset, size or block size do not fit the file, or the size of a device does not fit
 *   a layer;
 * - `ENONODE`: the kernel has the device, but /dev has no node for it;
 * - `ENODISKSEQ`: the kernel has no disk sequence numbers;
 * - `EHELD`: the device is still open somewhere;
 * - `EINACTIVE`: the md array is not started;
 * - `ENEWMEDIUM`: only the disk sequence number has changed;
 * - `ENOTMAPPER`: a setting is for mapper devices only, and the file or device is none;
 * - `ENOTABLE`: the mapper device has no live table;
 * - `ESUSPENDED`: the mapper device stays suspended;
 * - `EGOING`: the mapper device is marked for deferred removal;
 * - `EVERITY`: the live table is not the dm-verity table that was asked for.
 */
export class BlockError extends BlkbackError {}

/** Tells whether `error` is a block error with one of the `codes`. */
export function isBlockError(error: unknown, ...codes: string[]): error is BlockError {
  return error instanceof BlockError && codes.includes(error.code);
}

/** The text that a guest may read if its own device is still open in the backend domain. */
export const STILL_OPEN =
  'its device is still open in the backend domain, whose log says who has it';
