import { BlkbackError } from '../errors.js';

/** `params` is not a target; `code` is `ETARGET`. */
export class TargetError extends BlkbackError {}
