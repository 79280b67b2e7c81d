import { readMemoryFile, readMemoryLink } from './memory-file.js';
import { type Mount, readMountTable } from './mounts.js';

/** The file system or device that a system call waits for when it does not come back. */
export interface Place {
  /** A key that is the same for all calls to this place. */
  readonly key: string;
  /**
   * A description for the middle of a sentence: `the file system at /mnt (server:/export, nfs4)`.
   */
  readonly description: string;
}

/** The types of file systems that wait for nobody. A container's /dev is a tmpfs. */
const IN_MEMORY: ReadonlySet<string> = new Set(['devtmpfs', 'tmpfs', 'ramfs']);

// No function here may touch the file system in question. /proc tells all of it from memory.

/**
 * Returns the place that a descriptor of this process leads to, `undefined` if the kernel does not
 * tell.
 */
export function placeOfFd(fd: number): Place | undefined {
  try {
    const path = readMemoryLink(`/proc/self/fd/${fd}`);
    if (path === undefined) return undefined;
    const id = mountIdOfFd(fd);
    const mount = readMountTable().find((one) => one.id === id);
    // These file systems are memory. Only the device behind a node in them can hang.
    if (mount === undefined || IN_MEMORY.has(mount.type)) return named(path);
    return placeOfMount(mount);
  } catch {
    return undefined;
  }
}

/**
 * Returns the id of the mount that a descriptor of this process belongs to, NaN for a closed
 * descriptor. Throws `SystemError` if /proc cannot be read.
 */
export function mountIdOfFd(fd: number): number {
  const info = readMemoryFile(`/proc/self/fdinfo/${fd}`);
  return Number(/^mnt_id:\s*(\d+)$/m.exec(info ?? '')?.[1]);
}

/** Returns the place of a mounted file system. */
export function placeOfMount({ devnum, directory, source, type }: Mount): Place {
  return {
    // A file system may be mounted in several directories. It answers in all of them or in none.
    key: `${devnum.major}:${devnum.minor}`,
    description: `the file system at ${directory} (${source}, ${type})`,
  };
}

function named(path: string): Place {
  return { key: path, description: path };
}
