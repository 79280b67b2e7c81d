import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BlkbackError, errorMessage } from '../errors.js';

/** What native/ exports; the headers there document it. */
export interface Addon {
  /** A stream of bytes that never blocks; native/channel.h documents it. */
  readonly Channel: new (
    memory: Uint8Array,
    onRead: (count: number) => void,
    onWritable: () => void,
  ) => AddonChannel;
  /** Numbers of system calls on this machine. */
  readonly syscalls: Readonly<Record<Syscall, number>>;
  /** _exit(2): it waits for no thread. */
  exitAtOnce(status: number): void;
  /** Once in a process or worker. */
  openBlockingCalls(done: (id: number, result: number, errno: number) => void): BlockingCalls;
  /** Of native/immediate.h: the result, or a negative errno. */
  callNow(number: number, args: readonly SyscallArgument[]): number;
  /** Of native/memory_files.h: each returns a negative errno on failure. */
  readMemoryFile(path: string): string | number;
  readMemoryLink(path: string): string | number;
  memoryFileError(path: string): number;
}

/** Failures are negative errnos. */
export interface AddonChannel {
  /** 0 for a socket, 1 for a device. */
  open(path: string): number;
  start(): number;
  /** How many bytes were taken. */
  write(bytes: Uint8Array): number;
  awaitWritable(): void;
  close(): void;
}

export type Syscall =
  | 'close'
  | 'fcntl'
  | 'fstatfs'
  | 'getdents64'
  | 'getrandom'
  | 'ioctl'
  /** Several calls at once; native/loop_statuses.h documents it. */
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

/** An integer; a string, which gets a NUL; or bytes, which the kernel may fill. */
export type SyscallArgument = number | string | Uint8Array;

export interface BlockingCalls {
  start(number: number, args: readonly SyscallArgument[], opensDescriptor: boolean): number;
  abandon(id: number): void;
}

/** The addon is not there, or is made for another kind of machine. `code` is `EADDON`. */
class AddonError extends BlkbackError {}

let loaded: Addon | undefined;

/** The addon, from the package that this file is part of, in a checkout as well as installed. */
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
