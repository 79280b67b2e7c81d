import koffi from 'koffi';
import { type BlockingCall, blockingCall } from './blocking.js';
import { SystemError } from './errno.js';
import { placeOfFd } from './place.js';

const libc = koffi.load(null);

// ioctl is variadic in C, and koffi has no `.async` for variadic functions. On every ABI that Linux
// uses for these platforms the third argument travels as a pointer-sized word all the same.
const ioctlPointer = libc.func('ioctl', 'int', ['int', 'unsigned long', 'void *']);
const ioctlWord = libc.func('ioctl', 'int', ['int', 'unsigned long', 'intptr_t']);
const fcntlPointer = libc.func('fcntl', 'int', ['int', 'int', 'void *']);
const fcntlWord = libc.func('fcntl', 'int', ['int', 'int', 'intptr_t']);
const getsockopt = libc.func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']);
const getdents64 = libc.func('intptr_t getdents64(int fd, void *buffer, size_t bytes)');
const statx = libc.func(
  'int statx(int dirfd, const char *path, int flags, unsigned int mask, void *buffer)',
);
const getrandom = libc.func('long getrandom(void *buffer, size_t bytes, unsigned int flags)');
const socket = libc.func('int socket(int domain, int type, int protocol)');
const sendto = libc.func('sendto', 'intptr_t', [
  ...['int', 'void *', 'size_t', 'int'],
  ...['void *', 'unsigned int'],
]);
const setsockopt = libc.func('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'unsigned int']);
const bind = libc.func('int bind(int fd, void *address, unsigned int bytes)');
const recvfrom = libc.func('recvfrom', 'intptr_t', [
  ...['int', 'void *', 'size_t', 'int'],
  ...['void *', 'void *'],
]);

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
  const call = typeof argument === 'number' ? ioctlWord : ioctlPointer;
  const result: number = call(fd, request.number, argument);
  if (result < 0) throw SystemError.fromErrno(request.name, object, koffi.errno());
  return result;
}

/** fcntl(2) with a structure, at once: for commands that do not wait. Throws `SystemError`. */
export function fcntlSync(
  fd: number,
  command: { readonly name: string; readonly number: number },
  argument: Buffer,
  object: string,
): void {
  const result: number = fcntlPointer(fd, command.number, argument);
  if (result < 0) throw SystemError.fromErrno(command.name, object, koffi.errno());
}

/** The same with a plain word. */
export function fcntlWordSync(
  fd: number,
  command: { readonly name: string; readonly number: number },
  argument: number,
  object: string,
): void {
  const result: number = fcntlWord(fd, command.number, argument);
  if (result < 0) throw SystemError.fromErrno(command.name, object, koffi.errno());
}

/** Fills a buffer of at most 256 bytes from the kernel's random source (getrandom(2)). */
export function getRandom(buffer: Buffer): void {
  if (getrandom(buffer, buffer.length, 0) === buffer.length) return;
  throw SystemError.fromErrno('getrandom', 'the kernel', koffi.errno());
}

/**
 * Reads entries of an open directory from where the last call ended (getdents64(2)), at once: for
 * directories in memory. Returns how many bytes of `buffer` they fill, 0 at the end.
 */
export function readEntries(fd: number, buffer: Buffer, object: string): number {
  const bytes: number = getdents64(fd, buffer, buffer.length);
  if (bytes < 0) throw SystemError.fromErrno('getdents64', object, koffi.errno());
  return bytes;
}

const AT_STATX_DONT_SYNC = 0x4000;

/**
 * statx(2), at once, from what memory knows: no file server is asked (AT_STATX_DONT_SYNC). Returns
 * whether there is such a file. For paths that need no look-up either, such as /proc/self/fd/N.
 */
export function statxFromMemory(path: string, buffer: Buffer): boolean {
  const [AT_FDCWD, STATX_BASIC_STATS] = [-100, 0x7ff];
  return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_BASIC_STATS, buffer) === 0;
}

/**
 * The same for the inode of a descriptor, and for what never changes about one: kind, number, and which
 * device a device node stands for. Throws `SystemError`.
 */
export function statxInode(fd: number, buffer: Buffer, object: string): void {
  const [AT_EMPTY_PATH, STATX_TYPE, STATX_INO] = [0x1000, 0x1, 0x100];
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (statx(fd, '', flags, STATX_TYPE | STATX_INO, buffer) === 0) return;
  throw SystemError.fromErrno('fstat', object, koffi.errno());
}

/** Uid of a Unix socket's peer (`SO_PEERCRED`); `undefined` where there is none. */
export function peerUid(fd: number): number | undefined {
  // struct ucred: pid, uid, gid.
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  const [SOL_SOCKET, SO_PEERCRED] = [1, 17];
  const failed = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0;
  return failed ? undefined : credentials.readUInt32LE(4);
}

/** An integer option of a socket, at level `SOL_SOCKET`; `undefined` for what is no socket. */
export function socketOption(fd: number, option: number): number | undefined {
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  const SOL_SOCKET = 1;
  return getsockopt(fd, SOL_SOCKET, option, value, length) === 0 ? value.readInt32LE() : undefined;
}

/** An unbound Unix datagram socket that no child inherits; `undefined` if there is none to be had. */
export function unixDatagramSocket(): number | undefined {
  const [AF_UNIX, SOCK_DGRAM, SOCK_CLOEXEC] = [1, 2, 0o2000000];
  const fd: number = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd >= 0 ? fd : undefined;
}

/** sendto(2) without waiting; `address` is a struct sockaddr. Returns whether it all went out. */
export function sendDatagramFrom(fd: number, bytes: Buffer, address: Buffer): boolean {
  const [MSG_DONTWAIT, MSG_NOSIGNAL] = [0x40, 0x4000];
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  return sendto(fd, bytes, bytes.length, flags, address, address.length) === bytes.length;
}

/** An unbound netlink socket (netlink(7)) that no child inherits. Throws `SystemError`. */
export function netlinkSocket(protocol: number): number {
  const [AF_NETLINK, SOCK_DGRAM, SOCK_CLOEXEC, SOCK_NONBLOCK] = [16, 2, 0o2000000, 0o4000];
  const fd: number = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) throw SystemError.fromErrno('socket', 'netlink', koffi.errno());
  return fd;
}

/** bind(2); `address` is a struct sockaddr. Throws `SystemError`. */
export function bindSocket(fd: number, address: Buffer, object: string): void {
  if (bind(fd, address, address.length) === 0) return;
  throw SystemError.fromErrno('bind', object, koffi.errno());
}

/** Sets an integer option of a socket, at level `SOL_SOCKET`. Returns whether that was permitted. */
export function setSocketOption(fd: number, option: number, value: number): boolean {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  const SOL_SOCKET = 1;
  return setsockopt(fd, SOL_SOCKET, option, bytes, bytes.length) === 0;
}

const ADDRESS_LENGTH = Buffer.alloc(4);

/**
 * recvfrom(2) without waiting. Fills `address`, a struct sockaddr, with the sender's. Returns how many
 * bytes the datagram has, which may be more than `bytes` has room for; `undefined` if there is none.
 * Throws `SystemError`.
 */
export function receiveDatagram(
  fd: number,
  bytes: Buffer,
  address: Buffer,
  object: string,
): number | undefined {
  const [MSG_DONTWAIT, MSG_TRUNC] = [0x40, 0x20];
  ADDRESS_LENGTH.writeUInt32LE(address.length);
  const flags = MSG_DONTWAIT | MSG_TRUNC;
  const length: number = recvfrom(fd, bytes, bytes.length, flags, address, ADDRESS_LENGTH);
  if (length >= 0) return length;
  const error = SystemError.fromErrno('recvfrom', object, koffi.errno());
  if (error.code === 'EAGAIN') return undefined;
  throw error;
}
