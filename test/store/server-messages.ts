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
  const requests: RequestMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [type = 0, id = 0, tx = 0, length = 0] = [0, 4, 8, 12].map((offset) =>
      view.getUint32(at + offset, LITTLE),
    );
    const end = at + HEADER_SIZE + length;
    if (end > bytes.length) throw new Error('a packet was not written as a whole');
    const body = Buffer.from(bytes.subarray(at + HEADER_SIZE, end));
    requests.push({ type, id, tx, body, texts: body.toString('latin1').split('\0').slice(0, -1) });
    at = end;
  }
  return requests;
}

export function makeMessage(type: number, id: number, tx: number, body: Buffer): Buffer {
  const header = new DataView(new ArrayBuffer(HEADER_SIZE));
  for (const [index, value] of [type, id, tx, body.length].entries()) {
    header.setUint32(4 * index, value, LITTLE);
  }
  return Buffer.concat([Buffer.from(header.buffer), body]);
}

/** Terminated strings, one after another. */
export function strings(...texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(''), 'latin1');
}
