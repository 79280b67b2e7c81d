import { createRequire } from 'node:module';
import { SystemError } from './errno.js';

type Koffi = typeof import('koffi');

let loaded: ReturnType<typeof load> | undefined;

/**
 * koffi is loaded with the first call, because finding and starting it takes a fifth of Node's own
 * start time.
 */
function libc(): ReturnType<typeof load> {
  loaded ??= load();
  return loaded;
}

function load() {
  const koffi: Koffi = createRequire(import.meta.url)('koffi');
  const library = koffi.load(null);
  return {
    errno: () => koffi.errno(),
    getsockopt: library.func('getsockopt', 'int', ['int', 'int', 'int', 'void *', 'void *']),
    socket: library.func('int socket(int domain, int type, int protocol)'),
    sendto: library.func('sendto', 'intptr_t', [
      ...['int', 'void *', 'size_t', 'int'],
      ...['void *', 'unsigned int'],
    ]),
    setsockopt: library.func('setsockopt', 'int', ['int', 'int', 'int', 'void *', 'unsigned int']),
    bind: library.func('int bind(int fd, void *address, unsigned int bytes)'),
    recvfrom: library.func('recvfrom', 'intptr_t', [
      ...['int', 'void *', 'size_t', 'int'],
      ...['void *', 'void *'],
    ]),
  };
}

/**
 * Returns the user id of a Unix socket's peer (`SO_PEERCRED`), `undefined` if the socket has none.
 */
export function peerUid(fd: number): number | undefined {
  // struct ucred: pid, uid, gid.
  const credentials = Buffer.alloc(12);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentials.length);
  const [SOL_SOCKET, SO_PEERCRED] = [1, 17];
  const failed = libc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0;
  return failed ? undefined : credentials.readUInt32LE(4);
}

/**
 * Returns an integer option of a socket at level `SOL_SOCKET`, `undefined` for a file that is no
 * socket.
 */
export function socketOption(fd: number, option: number): number | undefined {
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  const SOL_SOCKET = 1;
  return libc().getsockopt(fd, SOL_SOCKET, option, value, length) === 0
    ? value.readInt32LE()
    : undefined;
}

/** Opens an unbound Unix datagram socket that no child inherits. Returns `undefined` on failure. */
export function unixDatagramSocket(): number | undefined {
  const [AF_UNIX, SOCK_DGRAM, SOCK_CLOEXEC] = [1, 2, 0o2000000];
  const fd: number = libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd >= 0 ? fd : undefined;
}

/**
 * Sends a datagram without waiting (sendto(2)). `address` is a struct sockaddr. Returns whether all
 * bytes were sent.
 */
export function sendDatagramFrom(fd: number, bytes: Buffer, address: Buffer): boolean {
  const [MSG_DONTWAIT, MSG_NOSIGNAL] = [0x40, 0x4000];
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  return libc().sendto(fd, bytes, bytes.length, flags, address, address.length) === bytes.length;
}

/** Opens an unbound netlink socket (netlink(7)) that no child inherits. Throws `SystemError`. */
export function netlinkSocket(protocol: number): number {
  const [AF_NETLINK, SOCK_DGRAM, SOCK_CLOEXEC, SOCK_NONBLOCK] = [16, 2, 0o2000000, 0o4000];
  const fd: number = libc().socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) throw SystemError.fromErrno('socket', 'netlink', libc().errno());
  return fd;
}

/** Binds a socket (bind(2)). `address` is a struct sockaddr. Throws `SystemError`. */
export function bindSocket(fd: number, address: Buffer, object: string): void {
  if (libc().bind(fd, address, address.length) === 0) return;
  throw SystemError.fromErrno('bind', object, libc().errno());
}

/**
 * Sets an integer option of a socket at level `SOL_SOCKET`. Returns whether the kernel accepted it.
 */
export function setSocketOption(fd: number, option: number, value: number): boolean {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  const SOL_SOCKET = 1;
  return libc().setsockopt(fd, SOL_SOCKET, option, bytes, bytes.length) === 0;
}

const ADDRESS_LENGTH = Buffer.alloc(4);

/**
 * Receives a datagram without waiting (recvfrom(2)). Fills `address`, a struct sockaddr, with the
 * sender's address. Returns the length of the datagram in bytes, which may be larger than `bytes`,
 * or `undefined` if there is no datagram. Throws `SystemError`.
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
  const length: number = libc().recvfrom(fd, bytes, bytes.length, flags, address, ADDRESS_LENGTH);
  if (length >= 0) return length;
  const error = SystemError.fromErrno('recvfrom', object, libc().errno());
  if (error.code === 'EAGAIN') return undefined;
  throw error;
}
