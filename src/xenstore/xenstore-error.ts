import { BlkbackError, type ErrorDetails } from '../errors.js';

/**
 * A XenStore request that failed. `code` is the name of xenstored's error (docs/misc/xenstore.txt:
 * `ENOENT`, `EACCES`, `EAGAIN`, `EQUOTA`, `E2BIG`, …) or one of
 * - `EINVAL`: path, value or token refused before anything was sent;
 * - `ECONNREFUSED`: no xenstored to connect to;
 * - `ECONNRESET`: the connection was lost while, or before, the request was under way;
 * - `ETIMEDOUT`: xenstored did not answer in time;
 * - `ECLOSED`: the client was closed.
 */
export class XenstoreError extends BlkbackError {
  /** The path the request was about, where it was about one. */
  readonly path: string | undefined;

  constructor(message: string, details: ErrorDetails & { readonly path?: string | undefined }) {
    super(message, details);
    this.path = details.path;
  }
}

/** Whether `error` is a XenStore error with one of the `codes`. */
export function isXenstoreError(error: unknown, ...codes: string[]): error is XenstoreError {
  return error instanceof XenstoreError && codes.includes(error.code);
}
