import type { Socket } from 'node:net';
import { peerUid } from './socket.js';

/**
 * The user at the other end of a Unix socket, by SO_PEERCRED: the one who connected, whatever the
 * process has become since. `undefined` where the kernel does not tell.
 */
export function readPeerUid(socket: Socket): number | undefined {
  // Node has no public way to a socket's descriptor.
  const handle = Reflect.get(socket, '_handle');
  const fd: unknown =
    handle === null || handle === undefined ? undefined : Reflect.get(handle, 'fd');
  return typeof fd === 'number' && fd >= 0 ? peerUid(fd) : undefined;
}
