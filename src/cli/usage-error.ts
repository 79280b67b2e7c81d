import { BlkbackError } from '../errors.js';

/** A command line or environment that does not make sense. */
export class UsageError extends BlkbackError {
  constructor(message: string) {
    super(message, { code: 'EUSAGE' });
  }
}
