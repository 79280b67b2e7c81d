import { BlkbackError } from '../errors.js';

/** The error of `params` that is not a valid target; `code` is `ETARGET`. */
export class TargetError extends BlkbackError {}
