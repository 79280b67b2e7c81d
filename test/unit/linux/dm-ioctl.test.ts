import assert from 'node:assert/strict';
import {
  DM,
  DM_FLAG,
  decodeDmReply,
  decodeNames,
  decodeTargets,
  encodeDmRequest,
  encodeTable,
  HEADER_SIZE,
} from '../../../src/linux/dm-ioctl.js';
import { evaluateC } from './kernel-headers.js';

const HEADER = ['sys/ioctl.h', 'linux/dm-ioctl.h'];

describe('The numbers of device-mapper', () => {
  it("are those of the kernel's header: requests", () => {
    const requests = Object.values(DM);
    const found = evaluateC(
      HEADER,
      requests.map(({ name }) => name),
    );
    assert.deepEqual(
      found.map(Number),
      requests.map(({ number }) => number),
    );
  });

  it("are those of the kernel's header: flags", () => {
    const names: Record<keyof typeof DM_FLAG, string> = {
      readOnly: 'DM_READONLY_FLAG',
      suspended: 'DM_SUSPEND_FLAG',
      statusTable: 'DM_STATUS_TABLE_FLAG',
      activePresent: 'DM_ACTIVE_PRESENT_FLAG',
      bufferFull: 'DM_BUFFER_FULL_FLAG',
      noFlush: 'DM_NOFLUSH_FLAG',
      secureData: 'DM_SECURE_DATA_FLAG',
      deferredRemove: 'DM_DEFERRED_REMOVE',
      internalSuspend: 'DM_INTERNAL_SUSPEND_FLAG',
    };
    const found = evaluateC(HEADER, Object.values(names));
    assert.deepEqual(
      Object.fromEntries(Object.keys(names).map((name, index) => [name, Number(found[index])])),
      DM_FLAG,
    );
  });

  it("are those of the kernel's header: layout", () => {
    const fields = [
      ...['data_size', 'data_start', 'target_count', 'open_count', 'flags', 'event_nr'],
      ...['dev', 'name', 'uuid'],
    ];
    const expressions = [
      'sizeof(struct dm_ioctl)',
      ...fields.map((field) => `offsetof(struct dm_ioctl, ${field})`),
      'sizeof(struct dm_target_spec)',
      'offsetof(struct dm_target_spec, next)',
      'offsetof(struct dm_target_spec, target_type)',
      'offsetof(struct dm_name_list, name)',
    ];
    const found = evaluateC(HEADER, expressions).map(Number);
    assert.deepEqual(found, [HEADER_SIZE, 12, 16, 20, 24, 28, 32, 40, 48, 176, 40, 20, 24, 12]);
  });
});

describe('encodeDmRequest', () => {
  it('says how long it is, and which device is meant', () => {
    const buffer = encodeDmRequest(
      { devnum: { major: 253, minor: 0x12345 }, flags: 0x10, udevFlags: 0x6e },
      100,
    );
    assert.equal(buffer.length, 412);
    assert.deepEqual(
      [0, 4, 8, 12, 16, 28, 32].map((at) => buffer.readUInt32LE(at)),
      [...[4, 0, 0, 412, 312, 0x10, 0x6e0000]],
    );
    assert.equal(buffer.readBigUInt64LE(40), 0x1230fd45n);
    assert.deepEqual(decodeDmReply(buffer), {
      devnum: { major: 253, minor: 0x12345 },
      ...{ name: '', uuid: '', flags: 0x10, openCount: 0, targetCount: 0 },
    });
  });

  it('refuses what is too long for a name, and never cuts it off', () => {
    assert.equal(
      decodeDmReply(encodeDmRequest({ name: 'n'.repeat(127), flags: 0 }, 0)).name.length,
      127,
    );
    for (const bad of [
      { name: 'n'.repeat(128) },
      { name: 'ü'.repeat(64) },
      { uuid: 'u'.repeat(129) },
      { name: 'a\0b' },
    ]) {
      assert.throws(() => encodeDmRequest({ ...bad, flags: 0 }, 0), RangeError);
    }
  });
});

describe('A table', () => {
  it('is encoded so that it is read as the same one line', () => {
    const params = Buffer.from('7:1 0\0');
    const buffer = encodeTable(
      { name: 'x', flags: 0 },
      { start: 0n, length: 2048n, type: 'linear', params },
    );
    assert.equal(buffer.length % 8, 0);
    assert.equal(buffer.readUInt32LE(12), buffer.length);
    assert.deepEqual(decodeTargets(buffer, 1), [
      { start: 0n, length: 2048n, type: 'linear', params: Buffer.from('7:1 0') },
    ]);
  });

  it('is read line by line, whatever stands between them, and no further than the reply goes', () => {
    const reply = encodeDmRequest({ flags: 0 }, 160);
    const line = (at: number, next: number, type: string, params: string): void => {
      reply.writeBigUInt64LE(BigInt(at), HEADER_SIZE + at);
      reply.writeBigUInt64LE(8n, HEADER_SIZE + at + 8);
      reply.writeUInt32LE(next, HEADER_SIZE + at + 20);
      reply.write(type, HEADER_SIZE + at + 24);
      reply.write(params, HEADER_SIZE + at + 40);
    };
    line(0, 64, 'linear', '7:1 0');
    line(64, 160, 'zero', '');
    const lines = decodeTargets(reply, 3).map(({ type, params }) => [type, params.toString()]);
    assert.deepEqual(lines, [
      ['linear', '7:1 0'],
      ['zero', ''],
    ]);
  });
});

describe('decodeNames', () => {
  it('reads none from an empty list, and all from a long one', () => {
    const reply = encodeDmRequest({ flags: 0 }, 64);
    assert.deepEqual(decodeNames(reply), []);
    reply.writeBigUInt64LE(0xfd00n, HEADER_SIZE);
    reply.writeUInt32LE(24, HEADER_SIZE + 8);
    reply.write('vg-one', HEADER_SIZE + 12);
    reply.writeBigUInt64LE(0xfd01n, HEADER_SIZE + 24);
    reply.write('vg-two', HEADER_SIZE + 24 + 12);
    assert.deepEqual(decodeNames(reply), [
      { devnum: { major: 253, minor: 0 }, name: 'vg-one' },
      { devnum: { major: 253, minor: 1 }, name: 'vg-two' },
    ]);
  });
});
