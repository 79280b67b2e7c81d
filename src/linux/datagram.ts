import { sendDatagramFrom, unixDatagramSocket } from './socket.js';

/**
 * The address of a datagram: a path, or a name with `@` in front, which is in no file system
 * (unix(7)).
 */
export type DatagramAddress = string;

const AF_UNIX = 1;
/** Bytes of sun_path. */
const LONGEST_PATH = 108;

let socket: number | undefined;

/**
 * Sends one datagram to a Unix socket, as sd_notify(3) and the journal expect it. Node cannot do
 * this. Never waits. Returns whether the datagram was sent: the receiver may be gone, or may be
 * slow and have a full queue.
 */
export function sendDatagram(address: DatagramAddress, bytes: Buffer): boolean {
  const encoded = encodeUnixAddress(address);
  if (encoded === undefined) return false;
  // One socket serves all receivers as long as the process lives.
  socket ??= unixDatagramSocket();
  return socket !== undefined && sendDatagramFrom(socket, bytes, encoded);
}

/**
 * Returns the `struct sockaddr_un` of an address, of the length that the name needs. Returns
 * `undefined` if the name is no address.
 */
export function encodeUnixAddress(address: DatagramAddress): Buffer | undefined {
  const name = Buffer.from(address);
  const isAbstract = address.startsWith('@');
  if (isAbstract) name[0] = 0;
  else if (!address.startsWith('/')) return undefined;
  // A path ends with a NUL. In an abstract name every byte counts.
  if (name.indexOf(0, 1) >= 0 || name.length > LONGEST_PATH - (isAbstract ? 0 : 1))
    return undefined;
  const family = Buffer.alloc(2);
  // Native byte order: little-endian on every platform that Xen has a dom0 for.
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name, ...(isAbstract ? [] : [Buffer.alloc(1)])]);
}
