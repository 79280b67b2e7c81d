import assert from 'node:assert/strict';
import {
  HEADER_SIZE,
  PAYLOAD_MAX,
  PacketParser,
  packetSize,
  writePacket,
  XS,
} from '../../src/xenstore/packet.js';
import {
  decodeDirectoryPart,
  decodeErrno,
  decodeNumber,
  decodeText,
  decodeTexts,
} from '../../src/xenstore/payload.js';
import type { Random } from '../bed/random.js';
import { strings } from '../store/server-messages.js';
import { anyBytes, anyText, damagedBytes, pieces } from './inputs.js';
import { property } from './property.js';

interface Message {
  readonly type: number;
  readonly id: number;
  readonly head: string;
  readonly tail: Buffer;
}

const TYPES = Object.values(XS);

function anyMessage(random: Random): Message {
  const head = anyText(random, 10).replace(/[^\x20-\x7e]/g, '-');
  const room = PAYLOAD_MAX - head.length - 1;
  const tail = random.percent(5) ? Buffer.alloc(room, 7) : anyBytes(random);
  return { type: random.pick(TYPES), id: random.next(), head, tail };
}

function encode({ type, id, head, tail }: Message): Buffer {
  const bytes = Buffer.alloc(packetSize(head, tail));
  assert.equal(writePacket(bytes, 0, type, id, 0, head, tail), bytes.length);
  return bytes;
}

function parse(stream: readonly Buffer[]): { taken: Message[]; fault: string | undefined } {
  const taken: Message[] = [];
  const parser = new PacketParser((type, id, body) => {
    const end = body.indexOf(0);
    const head = body.toString('latin1', 0, end < 0 ? body.length : end);
    taken.push({
      type,
      id,
      head,
      tail: Buffer.from(body.subarray(end < 0 ? body.length : end + 1)),
    });
    return undefined;
  });
  for (const piece of stream) {
    const fault = parser.push(piece);
    if (fault !== undefined) return { taken, fault };
  }
  return { taken, fault: undefined };
}

describe('what comes from xenstored', () => {
  property('is the same message, in whatever pieces it comes', (random) => {
    const sent = random.list(random.below(5), () => anyMessage(random));
    const bytes = Buffer.concat(sent.map(encode));
    assert.deepEqual(parse(pieces(random, bytes)), { taken: sent, fault: undefined });
  });

  property('is never more than a payload, and garbage is a fault and no exception', (random) => {
    const sent = random.list(random.between(1, 4), () => encode(anyMessage(random)));
    const bytes = random.percent(80)
      ? damagedBytes(random, Buffer.concat(sent))
      : anyBytes(random, 200);
    const whole = parse([bytes]);
    const parts = parse(pieces(random, bytes));
    assert.deepEqual(parts, whole, 'the pieces do not matter');
    for (const { head, tail } of whole.taken) assert(head.length + tail.length <= PAYLOAD_MAX);
  });

  property('that is overlong, or of a type that there is not, ends the stream', (random) => {
    const header = encode({ type: XS.read, id: 1, head: '', tail: Buffer.alloc(0) });
    const isLong = random.percent(50);
    if (isLong) header.writeUInt32LE(random.between(PAYLOAD_MAX + 1, 0xffffffff), 12);
    else header.writeUInt32LE(random.between(23, 0xffffffff), 0);
    const { taken, fault } = parse(pieces(random, header.subarray(0, HEADER_SIZE)));
    assert.equal(taken.length, 0);
    assert.match(fault ?? '', isLong ? /at most 4096/ : /unknown type/);
  });

  property('gives texts, numbers and errors of any bytes', (random) => {
    const body = anyBytes(random);
    assert(!decodeText(body).includes('\0'));
    assert(decodeErrno(body) > 0);
    const number = decodeNumber(body);
    assert(Number.isNaN(number) || (number >= 0 && number < 10 ** 10));
    for (const text of decodeTexts(body)) assert(!text.includes('\0'));
    const part = decodeDirectoryPart(body);
    assert(part.size >= 0 && part.size <= body.length + 1);
  });

  property('gives back the names of a directory', (random) => {
    const names = random.list(random.below(20), () => `n${random.below(1000)}`);
    assert.deepEqual(decodeTexts(strings(...names)), names);
    const isLast = random.percent(50);
    const part = decodeDirectoryPart(strings('7', ...names, ...(isLast ? [''] : [])));
    assert.deepEqual([part.generation, part.names, part.isLast], ['7', names, isLast]);
  });
});
