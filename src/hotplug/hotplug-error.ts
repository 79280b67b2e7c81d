import { BlkbackError } from '../errors.js';

/**
 * An attach or detach that cannot be done as asked. `code` is one of
 * - `EVBD`: XENBUS_PATH or another part of the call names no vbd;
 * - `EBACKEND`: the backend directory is incomplete;
 * - `EMODE`: `mode` is not a mode;
 * - `EPUBLISHED`: `physical-device` is there already and names another device;
 * - `EONLINE`: the vbd is still in use;
 * - `ETIMEDOUT`: the deadline passed; the message says what was waited for;
 * - `ECANCELED`: interrupted by a signal.
 */
export class HotplugError extends BlkbackError {}
