import { BlkbackError } from '../errors.js';

/**
 * A device that is not there, not usable, or not the one that was asked for. `code` is an errno's
 * name, or one of
 * - `EIDENTITY`: another device, or another content, than was asked for or was there before;
 * - `EREADONLY`: writing is wanted, and file or device allow reading only;
 * - `EWRITABLE`: only reading is wanted, and the device would let a guest write;
 * - `ENOTDISK`: neither a block device nor a regular file;
 * - `EWINDOW`: offset, size or block size do not fit the file;
 * - `ENONODE`: the kernel has the device, and /dev has no node of it;
 * - `ENODISKSEQ`: the kernel has no disk sequence numbers;
 * - `EHELD`: the device is still open somewhere;
 * - `EINACTIVE`: an md array that is not started;
 * - `ENEWMEDIUM`: the disk sequence number has risen, and nothing else is different;
 * - `ENOTMAPPER`: something is asked for that only a mapper device can do;
 * - `ENOTABLE`: a mapper device without a live table;
 * - `ESUSPENDED`: a mapper device that stays suspended;
 * - `EGOING`: a mapper device that is marked for deferred removal;
 * - `EVERITY`: the live table is not the dm-verity table that was asked for.
 */
export class BlockError extends BlkbackError {}

/** Whether `error` is a block error with one of the `codes`. */
export function isBlockError(error: unknown, ...codes: string[]): error is BlockError {
  return error instanceof BlockError && codes.includes(error.code);
}

/** What a guest may know of a device of its own that others have open. */
export const STILL_OPEN =
  'its device is still open in the backend domain, whose log says who has it';
