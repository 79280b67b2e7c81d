import { BlkbackError, type ErrorDetails } from '../errors.js';

/**
 * The error of a XenStore request. `code` is the name of xenstored's error (docs/misc/xenstore.txt:
 * `ENOENT`, `EACCES`, `EAGAIN`, `ENOSPC`, `E2BIG`, …) or one of
 * - `EINVAL`: a path, value or token was refused before anything was sent;
 * - `ECONNREFUSED`: there is no xenstored to connect to;
 * - `ECONNRESET`: the connection was lost while the request was under way, or before;
 * - `ETIMEDOUT`: xenstored did not answer in time;
 * - `ECLOSED`: the client was closed.
 */
export class XenstoreError extends BlkbackError {
  /** The path that the request was about, where it was about one. */
  readonly path: string | undefined;

  constructor(message: string, details: ErrorDetails & { readonly path?: string | undefined }) {
    super(message, details);
    this.path = details.path;
  }
}

/** Returns whether `error` is a XenStore error with one of the `codes`. */
export function isXenstoreError(error: unknown, ...codes: string[]): error is XenstoreError {
  return error instanceof XenstoreError && codes.includes(error.code);
}

/**
 * Returns whether xenstored has answered a request with an error. All other errors mean that no
 * answer has come, and that further requests will fail as well.
 */
export function isRefusal(error: unknown): error is XenstoreError {
  return error instanceof XenstoreError && error.errno !== undefined && error.code !== 'ECONNRESET';
}
