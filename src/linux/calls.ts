import { loadAddon, type Syscall, type SyscallArgument } from './addon.js';
import { type BlockingCall, blockingCall } from './blocking-call.js';
import { SystemError } from './errno.js';
import { AT_FDCWD } from './fcntl.js';
import { placeOfFd } from './place.js';
import { traceResult } from './trace.js';

/** The number of an ioctl, and its name for messages. */
export interface IoctlRequest {
  readonly name: string;
  readonly number: number;
}

/** The signal that gives an ioctl up, and the functions that are called then. */
export interface IoctlOptions
  extends Pick<BlockingCall, 'signal' | 'onAbandonedSuccess' | 'onAbandoned'> {
  /** Further descriptors that are named in the argument. */
  readonly alsoUses?: readonly number[] | undefined;
}

/**
 * Runs an ioctl that may wait for a device, its file or its driver. `argument` is a buffer that the
 * kernel reads or fills, or an integer. `object` is for error messages only. Returns the result of
 * the call. Throws as `blockingCall` does.
 */
export function ioctl(
  fd: number,
  request: IoctlRequest,
  argument: Buffer | number,
  object: string,
  { alsoUses = [], ...rest }: IoctlOptions = {},
): Promise<number> {
  return blockingCall({
    call: 'ioctl',
    args: [fd, request.number, argument],
    uses: [fd, ...alsoUses],
    name: request.name,
    object,
    ...rest,
    place: () => placeOfFd(fd),
  });
}

/**
 * Runs an ioctl at once, on this thread. It is for requests that need no device, file or disk to
 * answer. Returns the result. Throws `SystemError`.
 */
export function ioctlSync(
  fd: number,
  request: IoctlRequest,
  argument: Buffer | number,
  object: string,
): number {
  return requireDone(callNow('ioctl', [fd, request.number, argument]), request.name, object);
}

/** Runs fcntl(2) with a structure at once, for commands that do not wait. Throws `SystemError`. */
export function fcntlSync(
  fd: number,
  command: { readonly name: string; readonly number: number },
  argument: Buffer,
  object: string,
): void {
  requireDone(callNow('fcntl', [fd, command.number, argument]), command.name, object);
}

/** Runs fcntl(2) with an integer at once, for commands that do not wait. Throws `SystemError`. */
export function fcntlWordSync(
  fd: number,
  command: { readonly name: string; readonly number: number },
  argument: number,
  object: string,
): void {
  requireDone(callNow('fcntl', [fd, command.number, argument]), command.name, object);
}

/** Fills a buffer of at most 256 bytes from the kernel's random source (getrandom(2)). */
export function getRandom(buffer: Buffer): void {
  requireDone(callNow('getrandom', [buffer, buffer.length, 0]), 'getrandom', 'the kernel');
}

/** Returns random bytes from the kernel as hex, for unique names. */
export function randomHex(bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  getRandom(buffer);
  return buffer.toString('hex');
}

/**
 * Reads the next entries of an open directory (getdents64(2)) at once, for directories in memory.
 * Returns how many bytes of `buffer` the entries fill, 0 at the end. Throws `SystemError`.
 */
export function readEntries(fd: number, buffer: Buffer, object: string): number {
  return requireDone(callNow('getdents64', [fd, buffer, buffer.length]), 'getdents64', object);
}

const AT_STATX_DONT_SYNC = 0x4000;

/**
 * Runs statx(2) at once on what is in memory: no file server is asked (AT_STATX_DONT_SYNC). Returns
 * whether the file exists. It is for paths whose look-up needs no server either, such as
 * /proc/self/fd/N.
 */
export function statxFromMemory(path: string, buffer: Buffer): boolean {
  const STATX_BASIC_STATS = 0x7ff;
  return callNow('statx', [AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, buffer]) === 0;
}

/**
 * Runs statx(2) at once on the inode of a descriptor. Only the facts that never change are valid:
 * kind, inode number, and the device that a device node stands for. Throws `SystemError`.
 */
export function statxInode(fd: number, buffer: Buffer, object: string): void {
  const [AT_EMPTY_PATH, STATX_TYPE, STATX_INO] = [0x1000, 0x1, 0x100];
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  requireDone(callNow('statx', [fd, '', flags, STATX_TYPE | STATX_INO, buffer]), 'fstat', object);
}

/** Makes a system call on this thread. Returns the result, or a negative errno. */
function callNow(call: Syscall, args: readonly SyscallArgument[]): number {
  const addon = loadAddon();
  return addon.callNow(addon.syscalls[call], args);
}

function requireDone(result: number, name: string, object: string): number {
  traceResult(name, object, result);
  if (result < 0) throw SystemError.fromErrno(name, object, -result);
  return result;
}
