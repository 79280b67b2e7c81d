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
