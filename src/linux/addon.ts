import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BlkbackError, errorMessage } from '../errors.js';

/** The exports of the addon in native/. The headers in native/ document them. */
export interface Addon {
  /** A stream of bytes that never blocks; documented in native/channel.h. */
  readonly Channel: new (
    memory: Uint8Array,
    onRead: (count: number) => void,
    onWritable: () => void,
  ) => AddonChannel;
  /** The numbers of the system calls on this machine. */
  readonly syscalls: Readonly<Record<Syscall, number>>;
  /** Ends the process by _exit(2), which waits for no thread. */
  exitAtOnce(status: number): void;
  /**
   * Prepares calls on other threads; `done` gets each result. Called once in a process or worker.
   */
  openBlockingCalls(done: (id: number, result: number, errno: number) => void): BlockingCalls;
  /** Makes a system call at once (native/immediate.h). Returns the result, or a negative errno. */
  callNow(number: number, args: readonly SyscallArgument[]): number;
  /**
   * The next three functions are documented in native/memory_files.h. Each returns a negative errno
   * on failure.
   */
  readMemoryFile(path: string): string | number;
  readMemoryLink(path: string): string | number;
  memoryFileError(path: string): number;
}

/** A stream of bytes over one descriptor. Its functions return a negative errno on failure. */
export interface AddonChannel {
  /** Returns 0 for a socket and 1 for a device. */
  open(path: string): number;
  start(): number;
  /** Returns how many bytes were taken. */
  write(bytes: Uint8Array): number;
  awaitWritable(): void;
  close(): void;
}

/** The name of a system call that the addon can make. */
export type Syscall =
  | 'close'
  | 'fcntl'
  | 'fstatfs'
  | 'ftruncate'
  | 'getdents64'
  | 'getrandom'
  | 'ioctl'
  /** Several calls at once; documented in native/loop_statuses.h. */
  | 'loopStatuses'
  | 'mknodat'
  | 'nanosleep'
  | 'openat'
  | 'openat2'
  | 'read'
  | 'readlinkat'
  | 'statfs'
  | 'statx'
  | 'unlinkat'
  | 'write';

/**
 * An argument of a system call: an integer, a string, which gets a NUL, or bytes, which the kernel
 * may fill.
 */
export type SyscallArgument = number | string | Uint8Array;

/** The calls on other threads; documented in native/blocking.h. */
export interface BlockingCalls {
  start(number: number, args: readonly SyscallArgument[], opensDescriptor: boolean): number;
  abandon(id: number): void;
}

/** The addon is not there, or is made for another kind of machine. `code` is `EADDON`. */
class AddonError extends BlkbackError {}

let loaded: Addon | undefined;

/**
 * Returns the addon of the package that this file is part of, in a checkout as well as installed.
 */
export function loadAddon(): Addon {
  loaded ??= load();
  return loaded;
}

function load(): Addon {
  const place = join('native', 'build', 'Release', 'blkback.node');
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, place)) && dirname(directory) !== directory) {
    directory = dirname(directory);
  }
  const path = join(directory, place);
  try {
    const addon: unknown = createRequire(import.meta.url)(path);
    return addon as Addon;
  } catch (cause) {
    throw new AddonError(
      `the native addon ${path} cannot be loaded: ${errorMessage(cause)}; it is made for one processor and C library, and this is ${process.platform} ${process.arch} with Node.js ${process.versions.node}: build or pack it on a machine of this kind`,
      { code: 'EADDON', cause },
    );
  }
}
