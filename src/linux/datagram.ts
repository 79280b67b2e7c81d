import { sendDatagramFrom, unixDatagramSocket } from './socket.js';

/** Where a datagram goes: a path, or with `@` first a name that is in no file system (unix(7)). */
export type DatagramAddress = string;

const AF_UNIX = 1;
/** Bytes of sun_path. */
const LONGEST_PATH = 108;

let socket: number | undefined;

/**
 * Sends one datagram to a Unix socket, as sd_notify(3) and the journal want it and Node cannot. Never
 * waits. Returns whether it went out: the receiver may be gone, or be slow and have a full queue.
 */
export function sendDatagram(address: DatagramAddress, bytes: Buffer): boolean {
  const encoded = encodeUnixAddress(address);
  if (encoded === undefined) return false;
  // One for all receivers, for as long as the process lives.
  socket ??= unixDatagramSocket();
  return socket !== undefined && sendDatagramFrom(socket, bytes, encoded);
}

/** `struct sockaddr_un`, as long as the name makes it; `undefined` where the name is no address. */
export function encodeUnixAddress(address: DatagramAddress): Buffer | undefined {
  const name = Buffer.from(address);
  const isAbstract = address.startsWith('@');
  if (isAbstract) name[0] = 0;
  else if (!address.startsWith('/')) return undefined;
  // A path ends with a NUL; for other names every byte counts.
  if (name.indexOf(0, 1) >= 0 || name.length > LONGEST_PATH - (isAbstract ? 0 : 1))
    return undefined;
  const family = Buffer.alloc(2);
  // Native byte order: little-endian on every platform that Xen has a dom0 for.
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name, ...(isAbstract ? [] : [Buffer.alloc(1)])]);
}
