/** What every error of this project carries beside its sentence. */
export interface ErrorDetails {
  /** Stable, for programs: an errno name (`ENOENT`) or one of the layer's own codes. */
  readonly code: string;
  /** Positive errno of the failed call, where one failed. */
  readonly errno?: number | undefined;
  /** The system call, ioctl or XenStore request that failed, e.g. `LOOP_CONFIGURE`. */
  readonly syscall?: string | undefined;
  readonly cause?: unknown;
  /**
   * What a guest may read of it, where the message tells of others: their names, and paths of this
   * host. It goes on after the number of the guest's vbd, and a colon.
   */
  readonly guestMessage?: string | undefined;
}

/**
 * Base of the layers' error classes. The message is one sentence for a person: the object, what was
 * expected, what was found, and what to do where that is not obvious.
 */
export abstract class BlkbackError extends Error {
  readonly code: string;
  readonly errno: number | undefined;
  readonly syscall: string | undefined;
  readonly guestMessage: string | undefined;

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = details.code;
    this.errno = details.errno;
    this.syscall = details.syscall;
    this.guestMessage = details.guestMessage;
  }
}

/** The stable code of any error, `undefined` for a value that has none. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** The sentence of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
