import { readMemoryFile, readMemoryLink } from './memory-file.js';
import { socketOption } from './socket.js';

/** asm-generic/socket.h, which every platform of Xen's uses. */
const SO_TYPE = 3;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const AF_UNIX = 1;
const SOCK_STREAM = 1;

/** Whether a descriptor is a Unix stream socket on which somebody listens. */
export function isListeningUnixSocket(fd: number): boolean {
  return (
    socketOption(fd, SO_DOMAIN) === AF_UNIX &&
    socketOption(fd, SO_TYPE) === SOCK_STREAM &&
    socketOption(fd, SO_ACCEPTCONN) === 1
  );
}

/** The path that a Unix socket is bound to, as the kernel lists it; `undefined` where it has none. */
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
