import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { PacketParser, type Tail, writePacket } from '../../../src/xenstore/packet.js';

/** Returns a packet from four numbers and a payload, without any of the code under test. */
function bytes(header: readonly number[], payload: string): Buffer {
  const numbers = header.flatMap((number) => {
    const little = [number, number >>> 8, number >>> 16, number >>> 24].map((byte) => byte & 0xff);
    return endianness() === 'LE' ? little : little.reverse();
  });
  return Buffer.concat([Buffer.from(numbers), Buffer.from(payload, 'latin1')]);
}

/** Packets and their bytes, in the layout of docs/misc/xenstore.txt and xs_wire.h. */
const PACKETS: readonly {
  readonly what: string;
  readonly message: readonly [type: number, id: number, tx: number, head: string, tail: Tail];
  readonly bytes: Buffer;
}[] = [
  {
    what: 'XS_DIRECTORY',
    message: [1, 0x11, 0, 'backend/vbd', undefined],
    bytes: bytes([1, 0x11, 0, 12], 'backend/vbd\0'),
  },
  {
    what: 'XS_READ in a transaction',
    message: [2, 0x12, 77, '/local', undefined],
    bytes: bytes([2, 0x12, 77, 7], '/local\0'),
  },
  {
    what: 'XS_WATCH',
    message: [4, 0x13, 0, '@releaseDomain', '9\0'],
    bytes: bytes([4, 0x13, 0, 17], '@releaseDomain\x009\0'),
  },
  {
    what: 'XS_TRANSACTION_START',
    message: [6, 0x14, 0, '', undefined],
    bytes: bytes([6, 0x14, 0, 1], '\0'),
  },
  {
    what: 'XS_TRANSACTION_END',
    message: [7, 0x15, 0xffffffff, 'T', undefined],
    bytes: bytes([7, 0x15, 0xffffffff, 2], 'T\0'),
  },
  {
    what: 'XS_WRITE of an empty value',
    message: [11, 0xfffffff9, 0, 'a', Buffer.alloc(0)],
    bytes: bytes([11, 0xfffffff9, 0, 2], 'a\0'),
  },
  {
    what: 'XS_WRITE of bytes',
    message: [11, 0x16, 0, 'a/b', Buffer.from([0, 255, 10])],
    bytes: bytes([11, 0x16, 0, 7], 'a/b\0\0\xff\n'),
  },
  {
    what: 'XS_SET_PERMS',
    message: [14, 0x17, 0, 'a', 'n0\0r7\0'],
    bytes: bytes([14, 0x17, 0, 8], 'a\0n0\0r7\0'),
  },
  {
    what: 'XS_WATCH_EVENT',
    message: [15, 0, 0, 'backend/vbd/7', '1\0'],
    bytes: bytes([15, 0, 0, 16], 'backend/vbd/7\x001\0'),
  },
  {
    what: 'XS_ERROR',
    message: [16, 0x18, 0, 'ENOENT', undefined],
    bytes: bytes([16, 0x18, 0, 7], 'ENOENT\0'),
  },
  {
    what: 'XS_DIRECTORY_PART',
    message: [22, 0x19, 0, 'a', '4060\0'],
    bytes: bytes([22, 0x19, 0, 7], 'a\x004060\0'),
  },
  {
    what: 'the longest',
    message: [2, 0x1a, 0, 'x'.repeat(4095), undefined],
    bytes: bytes([2, 0x1a, 0, 4096], `${'x'.repeat(4095)}\0`),
  },
];

type Parsed = readonly [type: number, id: number, body: string];

/** Returns the messages of a parser that is given `chunks`, and the fault that ends it. */
function parse(chunks: readonly Buffer[]) {
  const messages: Parsed[] = [];
  const parser = new PacketParser((type, id, body) => {
    messages.push([type, id, body.toString('latin1')]);
    return undefined;
  });
  const faults = chunks.map((chunk) => {
    // The memory is used again afterwards, as the memory of the channel is.
    const copy = Buffer.from(chunk);
    const fault = parser.push(copy);
    copy.fill(0xee);
    return fault;
  });
  return { messages, fault: faults.find((each) => each !== undefined), parser };
}

const split = (whole: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(whole.length / size) }, (_, at) =>
    whole.subarray(at * size, (at + 1) * size),
  );

describe('A XenStore packet', () => {
  for (const { what, message, bytes: expected } of PACKETS) {
    const [type, id, tx, head, tail] = message;
    const body = expected.toString('latin1', 16);

    it(`is written: ${what}`, () => {
      const room = Buffer.alloc(8192, 0xee);
      const end = writePacket(room, 5, type, id, tx, head, tail);
      assert.deepEqual(room.subarray(5, end), expected);
      assert.equal(room[4], 0xee);
      assert.equal(room[end], 0xee);
    });

    it(`is parsed, whole and one byte at a time: ${what}`, () => {
      for (const chunks of [[expected], split(expected, 1)]) {
        const { messages, fault, parser } = parse(chunks);
        assert.deepEqual(messages, [[type, id, body]]);
        assert.equal(fault, undefined);
        assert.equal(parser.isWithinMessage, false);
      }
    });
  }

  it('is parsed among others, however the stream is cut', () => {
    const stream = Buffer.concat(PACKETS.map((packet) => packet.bytes));
    const all = PACKETS.map(({ message: [type, id], bytes: each }) => [
      type,
      id,
      each.toString('latin1', 16),
    ]);
    for (const size of [1, 2, 3, 15, 16, 17, 100, 4111, 4112, stream.length]) {
      assert.deepEqual(parse(split(stream, size)).messages, all, `${size} bytes at a time`);
    }
  });

  it('is not complete before its last byte', () => {
    const [first] = PACKETS;
    for (const end of [1, 15, 16, 27]) {
      const { messages, parser } = parse([(first ?? assert.fail()).bytes.subarray(0, end)]);
      assert.deepEqual(messages, []);
      assert.equal(parser.isWithinMessage, true);
    }
  });

  for (const [what, header, fault] of [
    ['an unknown type', [99, 1, 0, 0], 'sent a message of the unknown type 99'],
    ['the type that is none', [0xffff, 1, 0, 0], 'sent a message of the unknown type 65535'],
    [
      'more than 4096 bytes',
      [2, 1, 0, 4097],
      'sent a message of 4097 bytes, where at most 4096 are allowed',
    ],
    [
      'bytes as no machine has them',
      [2, 1, 0, 0xffffffff],
      'sent a message of 4294967295 bytes, where at most 4096 are allowed',
    ],
  ] as const) {
    it(`is a fault as soon as its header is there: ${what}`, () => {
      const packet = bytes(header, '');
      for (const chunks of [[packet], split(packet, 1), split(packet, 7)]) {
        const { messages, fault: found } = parse(chunks);
        assert.deepEqual(messages, []);
        assert.equal(found, fault);
      }
    });
  }

  it('is the last one once the taker has found a fault', () => {
    let taken = 0;
    const parser = new PacketParser(() => {
      taken++;
      return 'sent nonsense';
    });
    const packet = bytes([16, 1, 0, 7], 'ENOENT\0');
    assert.equal(parser.push(Buffer.concat([packet, packet])), 'sent nonsense');
    assert.equal(taken, 1);
  });
});
