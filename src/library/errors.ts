import { BlkbackError } from '../errors.js';

/**
 * Whether a value is an error of this library, and, where a code is given, has that code. It is also true
 * for errors of another copy of the library in the same program.
 */
export function isBlkbackError<Code extends string>(
  error: unknown,
  code?: Code,
): error is BlkbackError & { readonly code: Code } {
  const isOurs = error instanceof BlkbackError || hasMark(error);
  return isOurs && (code === undefined || (error as BlkbackError).code === code);
}

/** Every error of any copy has this. */
function hasMark(error: unknown): boolean {
  return error instanceof Error && 'guestMessage' in error && 'syscall' in error && 'code' in error;
}
