import { BlkbackError, errorCode, errorMessage } from '../errors.js';
import { errnoName } from '../util/errno.js';

export { errnoName };

/**
 * A failed system call or ioctl. `code` is the name of the errno, or `EHUNG` for a call that was
 * not begun because too many others wait for the same file system or device already.
 */
export class SystemError extends BlkbackError {
  /** Returns the error of the call `syscall` on `object`, which usually is a path. */
  static fromErrno(syscall: string, object: string, errno: number): SystemError {
    const code = errnoName(errno);
    return new SystemError(`${syscall} ${object}: ${describe(code)}`, { code, errno, syscall });
  }

  /**
   * Returns the error for an error of Node's own file system calls, which have a negative errno.
   */
  static fromNode(syscall: string, object: string, error: unknown): SystemError {
    const errno = nodeErrno(error);
    const code = errorCode(error) ?? (errno === undefined ? 'EIO' : errnoName(errno));
    return new SystemError(
      `${syscall} ${object}: ${errno === undefined ? errorMessage(error) : describe(code)}`,
      { code, errno, syscall, cause: error },
    );
  }
}

function nodeErrno(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('errno' in error)) return undefined;
  return typeof error.errno === 'number' ? Math.abs(error.errno) : undefined;
}

const PHRASES: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EBUSY: 'device or resource busy',
  EINVAL: 'invalid argument',
  EIO: 'input/output error',
  EISDIR: 'is a directory',
  ELOOP: 'too many levels of symbolic links',
  EMFILE: 'too many open files in this process (LimitNOFILE of its unit, ulimit -n)',
  ENFILE: 'too many open files in this machine (fs.file-max)',
  ENAMETOOLONG: 'file name too long',
  ENODEV: 'no such device',
  ENOENT: 'no such file or directory',
  EMEDIUMTYPE: 'wrong medium type',
  ENOMEDIUM: 'no medium found',
  ENOMEM: 'out of memory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTTY: 'not supported by this device or kernel',
  ENXIO: 'no such device or address',
  EPERM: 'operation not permitted',
  EROFS: 'read-only file system',
  ETXTBSY: 'file is being executed',
};

function describe(code: string): string {
  const phrase = PHRASES[code];
  return phrase === undefined ? code : `${phrase} (${code})`;
}

/** Tells whether `error` is a failed system call with one of the `codes`. */
export function isSystemError(error: unknown, ...codes: string[]): error is SystemError {
  return error instanceof SystemError && codes.includes(error.code);
}

/** Tells whether an error means that the device or its number does not exist (any more). */
export function isDeviceAbsent(error: unknown): boolean {
  return isSystemError(error, 'ENODEV', 'ENXIO', 'ENOENT');
}

/**
 * Tells whether an error means that a file can be read but not written, because of its file system
 * or because the file is a running program.
 */
export function isWriteRefused(error: unknown): boolean {
  return isSystemError(error, 'EROFS', 'ETXTBSY');
}

/** Tells whether an error means that this kernel does not know the ioctl. */
export function isIoctlUnknown(error: unknown): boolean {
  return isSystemError(error, 'ENOTTY', 'EOPNOTSUPP', 'ENOSYS');
}

const SHORTAGES = ['EMFILE', 'ENFILE', 'ENOMEM'];

/**
 * Throws `SystemError` if a call of Node has failed for want of descriptors or memory. Such a
 * failure says nothing about the file, and must not be taken for a missing file. Returns for any
 * other error.
 */
export function throwShortage(syscall: string, object: string, error: unknown): void {
  if (!SHORTAGES.includes(errorCode(error) ?? '')) return;
  throw SystemError.fromNode(syscall, object, error);
}
