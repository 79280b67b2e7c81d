import { BlkbackError } from '../errors.js';

/** A function of the library was called with a value that it cannot take. `code` is `EARGUMENT`. */
export class ArgumentError extends BlkbackError {
  constructor(message: string) {
    super(message, { code: 'EARGUMENT' });
  }
}
