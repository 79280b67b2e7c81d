import { BlkbackError } from '../errors.js';

/**
 * The error of an attach or detach that cannot be done as asked. `code` is one of
 * - `EVBD`: XENBUS_PATH or another part of the call names no vbd;
 * - `EBACKEND`: the backend directory is incomplete;
 * - `EDOMAIN`: there is no such domain;
 * - `EMODE`: `mode` is not a mode, does not fit the target, or was changed during the attach;
 * - `EPUBLISHED`: `physical-device` is there already, and names another device or is open in another
 *   mode;
 * - `EGONE`: the vbd was removed, or changed, in the middle;
 * - `EONLINE`: the vbd is still in use;
 * - `ENOTOPEN`, `EWINDOW`, `ENXIO`: a disk cannot be resized, because blkback has no device open
 *   for it, its layer cannot have the new size, or its device has vanished;
 * - `EUNAVAILABLE`: the daemon cannot do the work, and its client has to do it;
 * - `ETIMEDOUT`: the deadline passed; the message says what was waited for;
 * - `ECANCELED`: interrupted by a signal, or given up by the daemon.
 */
export class HotplugError extends BlkbackError {}
