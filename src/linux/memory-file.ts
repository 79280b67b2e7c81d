import { ERRNO } from '../util/errno.js';
import { loadAddon } from './addon.js';
import { SystemError } from './errno.js';

// sysfs and procfs are memory, so these functions read at once. Through Node's thread pool, each
// call of a read would cost many times its own time, and Node's synchronous functions make six
// calls.

/**
 * The errors for a file that does not exist or is just vanishing; negative, as the addon returns
 * them.
 */
const ABSENT: readonly number[] = [-ERRNO.ENOENT, -ERRNO.ENXIO, -ERRNO.ENODEV, -ERRNO.ENOTDIR];

/**
 * Returns the text of a file in sysfs or procfs. Returns `undefined` if the file does not exist
 * (any more). Throws `SystemError` if the file cannot be read.
 */
export function readMemoryFile(path: string): string | undefined {
  const text = loadAddon().readMemoryFile(path);
  if (typeof text === 'string') return text;
  if (ABSENT.includes(text)) return undefined;
  throw SystemError.fromErrno('read', path, -text);
}

/**
 * Returns the target of a symbolic link in sysfs or procfs. Returns `undefined` if there is no such
 * link. Throws `SystemError`.
 */
export function readMemoryLink(path: string): string | undefined {
  const target = loadAddon().readMemoryLink(path);
  if (typeof target === 'string') return target;
  if (ABSENT.includes(target)) return undefined;
  throw SystemError.fromErrno('readlink', path, -target);
}

/** Tells whether a file exists in sysfs or procfs. Links are followed. */
export function isInMemory(path: string): boolean {
  return loadAddon().memoryFileError(path) === 0;
}
