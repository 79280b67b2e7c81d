import { BlkbackError } from '../errors.js';

/**
 * The bytes cannot be exported beside what uses them. `code` is one of
 * - `EBUSY`: others use the same bytes in a way that forbids it; the message says who;
 * - `ELOCK`: what keeps two adds of the same bytes apart cannot be locked.
 */
export class SharingError extends BlkbackError {}
