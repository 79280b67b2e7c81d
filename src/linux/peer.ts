import type { Socket } from 'node:net';
import { peerUid } from './socket.js';

/**
 * Returns the user id at the other end of a Unix socket (SO_PEERCRED). It is the user who
 * connected, even if the process has changed its user since. Returns `undefined` if the kernel does
 * not tell.
 */
export function readPeerUid(socket: Socket): number | undefined {
  // Node has no public way to a socket's descriptor.
  const handle = Reflect.get(socket, '_handle');
  const fd: unknown =
    handle === null || handle === undefined ? undefined : Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? peerUid(fd) : undefined;
}
