import { endianness } from 'node:os';

/** xenstored's half of the protocol, written down once more: the client's own is what is tested. */

export interface RequestMessage {
  readonly type: number;
  readonly id: number;
  readonly tx: number;
  readonly body: Buffer;
  /** The strings of the body, as far as they are terminated. */
  readonly texts: readonly string[];
}

const HEADER_SIZE = 16;
const LITTLE = endianness() === 'LE';

export const OK = strings('OK');

/** Cuts whole packets; a client writes no others. */
export function cutRequests(bytes: Buffer): RequestMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const number = (at: number): number => view.getUint32(at, LITTLE);
  const requests: RequestMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [type, id, tx] = [number(at), number(at + 4), number(at + 8)];
    const end = at + HEADER_SIZE + number(at + 12);
    if (end > bytes.length) throw new Error('a packet was not written as a whole');
    const body = Buffer.from(bytes.subarray(at + HEADER_SIZE, end));
    requests.push({ type, id, tx, body, texts: body.toString('latin1').split('\0').slice(0, -1) });
    at = end;
  }
  return requests;
}

export function makeMessage(type: number, id: number, tx: number, body: Buffer): Buffer {
  const message = Buffer.alloc(HEADER_SIZE + body.length);
  const write = (value: number, at: number): number =>
    LITTLE ? message.writeUInt32LE(value, at) : message.writeUInt32BE(value, at);
  write(type, 0);
  write(id, 4);
  write(tx, 8);
  write(body.length, 12);
  message.set(body, HEADER_SIZE);
  return message;
}

/** Terminated strings, one after another. */
export function strings(...texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(''), 'latin1');
}
