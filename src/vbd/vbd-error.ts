import { BlkbackError } from '../errors.js';

/**
 * The error of an operation that cannot go on because of what XenStore, blkback or a record says
 * about a vbd. `code` is one of
 * - `EBACKEND`: the backend directory is missing;
 * - `EPUBLISHED`: `physical-device` names no device;
 * - `ERACE`: another program has published a device in between, or the vbd was made anew;
 * - `EOPEN`: blkback has a device open that XenStore does not name;
 * - `ESTATE`: blkback is in a state in which it takes no device;
 * - `EBLKBACK`: blkback refused or closed the device;
 * - `EVBD`: the backend is another domain's, or none of the guest's disks is meant;
 * - `EATTACH`: an add has failed;
 * - `EBUSY`: an add has failed because others use the disk;
 * - `ESYSFS`: sysfs does not tell which devices blkback has open;
 * - `EGONE`: the backend directory went away in the middle;
 * - `ERECORD`: the record of what is to be undone cannot be kept;
 * - `ETIMEDOUT`: the deadline passed; the message says what was waited for.
 */
export class VbdError extends BlkbackError {}
