import { ERRNO } from '../util/errno.js';
import { loadAddon } from './addon.js';
import { SystemError } from './errno.js';

// sysfs and procfs are memory: what is read of them is read at once. Through Node's thread pool each of
// the calls of a read costs many times its own time, and Node's synchronous functions make six of them.

/** Of something that is not there, or is just going away; negative, as the addon answers. */
const ABSENT: readonly number[] = [-ERRNO.ENOENT, -ERRNO.ENXIO, -ERRNO.ENODEV, -ERRNO.ENOTDIR];

/**
 * The text of a file in sysfs or procfs; `undefined` where there is none, or not any more. Throws
 * `SystemError` where it cannot be read.
 */
export function readMemoryFile(path: string): string | undefined {
  const text = loadAddon().readMemoryFile(path);
  if (typeof text === 'string') return text;
  if (ABSENT.includes(text)) return undefined;
  throw SystemError.fromErrno('read', path, -text);
}

/** What a symbolic link in sysfs or procfs says; `undefined` where there is none. Throws `SystemError`. */
export function readMemoryLink(path: string): string | undefined {
  const target = loadAddon().readMemoryLink(path);
  if (typeof target === 'string') return target;
  if (ABSENT.includes(target)) return undefined;
  throw SystemError.fromErrno('readlink', path, -target);
}

/** Whether there is such a file in sysfs or procfs; links are followed. */
export function isInMemory(path: string): boolean {
  return loadAddon().memoryFileError(path) === 0;
}
