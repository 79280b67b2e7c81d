/** The details that every error of this project carries beside its message. */
export interface ErrorDetails {
  /** A stable code for programs: an errno name (`ENOENT`) or one of the layer's own codes. */
  readonly code: string;
  /** The positive errno of the failed call, if a call failed. */
  readonly errno?: number | undefined;
  /** The system call, ioctl or XenStore request that failed, e.g. `LOOP_CONFIGURE`. */
  readonly syscall?: string | undefined;
  readonly cause?: unknown;
  /**
   * The text that a guest may read instead of the message. It is given if the message contains
   * facts about other guests or about this host, such as names and paths. It follows the number of
   * the guest's vbd and a colon.
   */
  readonly guestMessage?: string | undefined;
}

/**
 * The base class of the errors of all layers. The message is one sentence for a person. It names
 * the object, what was expected and what was found, and says what to do if that is not obvious.
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

/** Returns the stable code of any error, or `undefined` for a value that has none. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Returns the message of anything that was thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
