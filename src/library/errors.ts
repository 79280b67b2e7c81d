import { BlkbackError } from '../errors.js';

/**
 * Tells whether a value is an error of this library and, if `code` is given, has that code. Also
 * recognizes the errors of another copy of the library in the same program.
 */
export function isBlkbackError<Code extends string>(
  error: unknown,
  code?: Code,
): error is BlkbackError & { readonly code: Code } {
  const isOurs = error instanceof BlkbackError || hasMark(error);
  return isOurs && (code === undefined || (error as BlkbackError).code === code);
}

/** Tells whether an error has the properties that the errors of every copy of the library have. */
function hasMark(error: unknown): boolean {
  return error instanceof Error && 'guestMessage' in error && 'syscall' in error && 'code' in error;
}
