import { readMemoryFile, readMemoryLink } from './memory-file.js';
import { type Mount, readMountTable } from './mounts.js';

/** What a system call waits for when it does not come back: a file system, or a device. */
export interface Place {
  /** The same for all calls to it. */
  readonly key: string;
  /** For the middle of a sentence: `the file system at /mnt (server:/export, nfs4)`. */
  readonly description: string;
}

// Nothing here may touch the file system that is asked about: /proc tells all of it from memory.

/** Where a descriptor of this process leads; `undefined` where the kernel does not tell. */
export function placeOfFd(fd: number): Place | undefined {
  try {
    const path = readMemoryLink(`/proc/self/fd/${fd}`);
    if (path === undefined) return undefined;
    const id = mountIdOfFd(fd);
    const mount = readMountTable().find((one) => one.id === id);
    // A node's own file system is memory; what may hang is the device that it stands for.
    if (mount === undefined || mount.type === 'devtmpfs') return named(path);
    return placeOfMount(mount);
  } catch {
    return undefined;
  }
}

/** The mount that a descriptor of this process belongs to. Throws where it is closed. */
export function mountIdOfFd(fd: number): number {
  const info = readMemoryFile(`/proc/self/fdinfo/${fd}`);
  return Number(/^mnt_id:\s*(\d+)$/m.exec(info ?? '')?.[1]);
}

export function placeOfMount({ devnum, directory, source, type }: Mount): Place {
  return {
    // One file system may be mounted in several places, and answers in none of them or in all.
    key: `${devnum.major}:${devnum.minor}`,
    description: `the file system at ${directory} (${source}, ${type})`,
  };
}

function named(path: string): Place {
  return { key: path, description: path };
}
