import { BlkbackError } from '../errors.js';

/**
 * What XenStore, blkback or a record say of a vbd makes it impossible to go on. `code` is one of
 * - `EBACKEND`: the backend directory is missing;
 * - `EPUBLISHED`: `physical-device` names no device;
 * - `ERACE`: somebody else has published a device in between;
 * - `EOPEN`: blkback has a device open that XenStore does not name;
 * - `ESTATE`: blkback is in a state in which it takes no device;
 * - `EBLKBACK`: blkback refused or closed the device;
 * - `EVBD`: the backend is another domain's, or none of the guest's disks is meant;
 * - `EATTACH`: an add has failed;
 * - `EBUSY`: it has failed because others use the disk;
 * - `ESYSFS`: sysfs does not tell what blkback has open;
 * - `EGONE`: the backend directory went away in the middle;
 * - `ERECORD`: the record of what is to be undone cannot be kept;
 * - `ETIMEDOUT`: the deadline passed; the message says what was waited for.
 */
export class VbdError extends BlkbackError {}
