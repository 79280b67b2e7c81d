import { endianness } from 'node:os';
import { XS } from '../../src/xenstore/packet.js';
import { Refusal } from './memory-tree.js';

/** xenstored's side of the protocol, written independently of the client, which is under test. */

export interface RequestMessage {
  readonly type: number;
  readonly id: number;
  readonly tx: number;
  readonly body: Buffer;
  /** The terminated strings of the body. */
  readonly texts: readonly string[];
}

const HEADER_SIZE = 16;
const LITTLE = endianness() === 'LE';

export const OK = strings('OK');

/** Splits bytes into packets. Throws if the last packet is incomplete: a client writes none. */
export function cutRequests(bytes: Buffer): RequestMessage[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const number = (at: number): number => view.getUint32(at, LITTLE);
  const requests: RequestMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [type, id, tx] = [number(at), number(at + 4), number(at + 8)];
    const end = at + HEADER_SIZE + number(at + 12);
    if (end > bytes.length) throw new Error('a packet was not written as a whole');
    const texts = bytes.toString('latin1', at + HEADER_SIZE, end).split('\0');
    texts.pop();
    requests.push({
      type,
      id,
      tx,
      body: Buffer.from(bytes.subarray(at + HEADER_SIZE, end)),
      texts,
    });
    at = end;
  }
  return requests;
}

/** Returns a packet with this header and body. */
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

/**
 * Returns the answer to a request. `carryOut` returns the body of the answer, or `undefined` if there
 * is no such node, and throws `Refusal` for every other refusal.
 */
export function makeAnswer(
  { type, id, tx }: RequestMessage,
  carryOut: () => Buffer | undefined,
): Buffer {
  const refuse = (code: string): Buffer => makeMessage(XS.error, id, tx, strings(code));
  try {
    const body = carryOut();
    return body === undefined ? refuse('ENOENT') : makeMessage(type, id, tx, body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return refuse(error.code);
  }
}

/** Returns terminated strings, one after another. */
export function strings(...texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(''), 'latin1');
}
