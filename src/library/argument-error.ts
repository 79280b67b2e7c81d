import { BlkbackError } from '../errors.js';

/** The error of a library function that got an invalid argument. `code` is `EARGUMENT`. */
export class ArgumentError extends BlkbackError {
  constructor(message: string) {
    super(message, { code: 'EARGUMENT' });
  }
}
