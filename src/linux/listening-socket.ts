import { readMemoryFile, readMemoryLink } from './memory-file.js';
import { socketOption } from './socket.js';

/** asm-generic/socket.h, which is valid on every platform of Xen. */
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const AF_UNIX = 1;
const SOCK_STREAM = 1;

/** Tells whether a descriptor is a listening Unix stream socket. */
export function isListeningUnixSocket(fd: number): boolean {
  return (
    socketOption(fd, SO_DOMAIN) === AF_UNIX &&
    socketOption(fd, SO_TYPE) === SOCK_STREAM &&
    socketOption(fd, SO_ACCEPTCONN) === 1
  );
}

/**
 * Returns the path that a Unix socket is bound to, from the kernel's list. Returns `undefined` if
 * the socket has no path. Throws `SystemError`.
 */
export function readSocketPath(fd: number): string | undefined {
  const [, inode] = /^socket:\[(\d+)\]$/.exec(readMemoryLink(`/proc/self/fd/${fd}`) ?? '') ?? [];
  if (inode === undefined) return undefined;
  for (const line of readMemoryFile('/proc/self/net/unix')?.split('\n') ?? []) {
    // Num RefCount Protocol Flags Type St Inode Path
    const [, found, path] = /^\S+: \S+ \S+ \S+ \S+ \S+ +(\d+) (\/.*)$/.exec(line) ?? [];
    if (found === inode) return path;
  }
  return undefined;
}
