import { loadAddon, type Syscall, type SyscallArgument } from './addon.js';
import { type BlockingCall, blockingCall } from './blocking.js';
import { SystemError } from './errno.js';
import { placeOfFd } from './place.js';
import { traceResult } from './trace.js';

/** An ioctl's number, and its name for messages. */
export interface IoctlRequest {
  readonly name: string;
  readonly number: number;
}

/** How it is given up, and what follows. */
export interface IoctlOptions extends Pick<BlockingCall, 'signal' | 'late' | 'gaveUp'> {
  /** Other descriptors that the argument names. */
  readonly alsoUses?: readonly number[] | undefined;
}

/**
 * Runs an ioctl that may wait for a device, its file or its driver. `argument` is a buffer that the
 * kernel reads or fills, or a plain word. Returns the call's result; throws as `blockingCall` does.
 * `object` only words the error.
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

/** As `ioctl`, at once: for those that need no device, file or disk to answer. */
export function ioctlSync(
  fd: number,
  request: IoctlRequest,
  argument: Buffer | number,
  object: string,
): number {
  return requireDone(callNow('ioctl', [fd, request.number, argument]), request.name, object);
}

/** fcntl(2) with a structure, at once: for commands that do not wait. Throws `SystemError`. */
export function fcntlSync(
  fd: number,
  command: { readonly name: string; readonly number: number },
  argument: Buffer,
  object: string,
): void {
  requireDone(callNow('fcntl', [fd, command.number, argument]), command.name, object);
}

/** The same with a plain word. */
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

/** Random bytes of the kernel's, as hex; for names that nobody else has. */
export function randomHex(bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  getRandom(buffer);
  return buffer.toString('hex');
}

/**
 * Reads entries of an open directory from where the last call ended (getdents64(2)), at once: for
 * directories in memory. Returns how many bytes of `buffer` they fill, 0 at the end.
 */
export function readEntries(fd: number, buffer: Buffer, object: string): number {
  return requireDone(callNow('getdents64', [fd, buffer, buffer.length]), 'getdents64', object);
}

const AT_STATX_DONT_SYNC = 0x4000;

/**
 * statx(2), at once, from what memory knows: no file server is asked (AT_STATX_DONT_SYNC). Returns
 * whether there is such a file. For paths that need no look-up either, such as /proc/self/fd/N.
 */
export function statxFromMemory(path: string, buffer: Buffer): boolean {
  const [AT_FDCWD, STATX_BASIC_STATS] = [-100, 0x7ff];
  return callNow('statx', [AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, buffer]) === 0;
}

/**
 * The same for the inode of a descriptor, and for what never changes about one: kind, number, and which
 * device a device node stands for. Throws `SystemError`.
 */
export function statxInode(fd: number, buffer: Buffer, object: string): void {
  const [AT_EMPTY_PATH, STATX_TYPE, STATX_INO] = [0x1000, 0x1, 0x100];
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  requireDone(callNow('statx', [fd, '', flags, STATX_TYPE | STATX_INO, buffer]), 'fstat', object);
}

/** Makes a system call on this thread; returns its result, or a negative errno. */
function callNow(call: Syscall, args: readonly SyscallArgument[]): number {
  const addon = loadAddon();
  return addon.callNow(addon.syscalls[call], args);
}

function requireDone(result: number, name: string, object: string): number {
  traceResult(name, object, result);
  if (result < 0) throw SystemError.fromErrno(name, object, -result);
  return result;
}
