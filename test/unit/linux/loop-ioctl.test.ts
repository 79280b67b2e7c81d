import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import {
  decodeLoopStatus,
  encodeLoopConfig,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_PARTSCAN,
  LO_FLAGS_READ_ONLY,
} from '../../../src/linux/loop-ioctl.js';
import { evaluateC } from './kernel-headers.js';

const LOOP_H = ['linux/loop.h'];
const HEADERS = ['linux/loop.h', 'linux/fs.h'];
const inInfo = (field: string) => `offsetof(struct loop_info64, ${field})`;
const inConfig = (field: string) => `offsetof(struct loop_config, ${field})`;

const CONFIG = {
  backingFd: 0x01020304,
  blockSize: 4096,
  offset: 0x1122334455667788n,
  sizeLimit: 0x1020304050607080n,
  flags: 0x15,
  fileName: '/images/disk.img',
};

describe('encodeLoopConfig', () => {
  it('lays the fields out as struct loop_config has them, the rest being zero', () => {
    const offsets = evaluateC(LOOP_H, [
      'sizeof(struct loop_config)',
      inConfig('fd'),
      inConfig('block_size'),
      ...['lo_offset', 'lo_sizelimit', 'lo_flags', 'lo_file_name'].map((field) =>
        inConfig(`info.${field}`),
      ),
    ]).map(Number);
    const [size = 0, fd, blockSize, offset, sizeLimit, flags, fileName = 0] = offsets;
    const expected = Buffer.alloc(size);
    expected.writeUInt32LE(CONFIG.backingFd, fd);
    expected.writeUInt32LE(CONFIG.blockSize, blockSize);
    expected.writeBigUInt64LE(CONFIG.offset, offset);
    expected.writeBigUInt64LE(CONFIG.sizeLimit, sizeLimit);
    expected.writeUInt32LE(CONFIG.flags, flags);
    expected.write(CONFIG.fileName, fileName);
    assert.deepEqual(encodeLoopConfig(CONFIG), expected);
  });

  it('ends a long name before the field ends, never within a character', () => {
    const [at = 0, room = 0] = evaluateC(LOOP_H, [
      inConfig('info.lo_file_name'),
      'sizeof(((struct loop_info64 *)0)->lo_file_name)',
    ]).map(Number);
    for (const [fileName, kept] of [
      ['x'.repeat(200), 'x'.repeat(room - 1)],
      ['x'.repeat(room - 1), 'x'.repeat(room - 1)],
      ['ü'.repeat(60), 'ü'.repeat(31)],
      ['💾'.repeat(60), '💾'.repeat(15)],
    ] as const) {
      const encoded = encodeLoopConfig({ ...CONFIG, fileName });
      const field = encoded.subarray(at, at + room);
      assert.equal(field.toString().replace(/\0+$/, ''), kept);
      assert.ok(encoded.subarray(at + room).every((byte) => byte === 0));
    }
  });
});

describe('decodeLoopStatus', () => {
  it('reads the fields where struct loop_info64 has them', () => {
    const [size = 0, ...offsets] = evaluateC(LOOP_H, [
      'sizeof(struct loop_info64)',
      ...[
        'lo_device',
        'lo_inode',
        'lo_rdevice',
        'lo_offset',
        'lo_sizelimit',
        'lo_number',
        'lo_flags',
      ].map(inInfo),
    ]).map(Number);
    const info = Buffer.alloc(size, 0xee);
    for (const [index, offset] of offsets.slice(0, 5).entries()) {
      info.writeBigUInt64LE(BigInt(index + 1) << 40n, offset);
    }
    info.writeUInt32LE(163, offsets[5]);
    info.writeUInt32LE(0x80000005, offsets[6]);
    assert.deepEqual(decodeLoopStatus(info), {
      device: 1n << 40n,
      inode: 2n << 40n,
      rdevice: 3n << 40n,
      offset: 4n << 40n,
      sizeLimit: 5n << 40n,
      number: 163,
      flags: 0x80000005,
    });
  });
});

describe('The numbers of the kernel interface', () => {
  it('are those of linux/loop.h: flags', () => {
    const flags = ['READ_ONLY', 'AUTOCLEAR', 'PARTSCAN', 'DIRECT_IO'].map(
      (name) => `LO_FLAGS_${name}`,
    );
    assert.deepEqual(
      [LO_FLAGS_READ_ONLY, LO_FLAGS_AUTOCLEAR, LO_FLAGS_PARTSCAN, LO_FLAGS_DIRECT_IO].map(BigInt),
      evaluateC(LOOP_H, flags),
    );
  });

  for (const file of ['loop-ioctl', 'block-ioctl']) {
    it(`are those of the kernel's headers: every request in ${file}`, () => {
      const source = readFileSync(
        new URL(`../../../../src/linux/${file}.ts`, import.meta.url),
        'utf8',
      );
      const requests = [
        ...source.matchAll(/^const (\w+) = \{ name: '(\w+)', number: (0x[0-9a-f]+) \};$/gm),
      ];
      assert.equal(requests.length, [...source.matchAll(/\bnumber: 0x/g)].length);
      assert.ok(requests.length >= 4);
      assert.deepEqual(
        requests.map(([, name, , number]) => [name, BigInt(number ?? 0)]),
        evaluateC(
          HEADERS,
          requests.map(([, , name = '']) => name),
        ).map((number, index) => [requests[index]?.[2], number]),
      );
    });
  }
});
