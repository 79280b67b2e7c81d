import { BlkbackError } from '../errors.js';

/**
 * The error of bytes that cannot be exported beside their present uses. `code` is one of
 * - `EBUSY`: others use the same bytes in a way that forbids the export; the message says who.
 * - `ELOCK`: the lock that keeps two adds of the same bytes apart cannot be taken.
 */
export class SharingError extends BlkbackError {}
