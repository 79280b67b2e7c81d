import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import {
  devnumFromStat,
  formatDevnum,
  formatDevnumHex,
  parseDevnum,
  parseDevnumHex,
  sameDevnum,
} from '../../../src/linux/devnum.js';

describe('devnumFromStat', () => {
  const rdevOf = (path: string) => devnumFromStat(statSync(path, { bigint: true }).rdev);

  it('splits what stat(2) says of /dev/null and /dev/zero', () => {
    assert.deepEqual(rdevOf('/dev/null'), { major: 1, minor: 3 });
    assert.deepEqual(rdevOf('/dev/zero'), { major: 1, minor: 5 });
  });

  it('gives loop devices major 7 and their own number', () => {
    const names = readdirSync('/dev').filter((name) => /^loop\d+$/.test(name));
    for (const name of names) {
      assert.deepEqual(rdevOf(`/dev/${name}`), { major: 7, minor: Number(name.slice(4)) }, name);
    }
  });

  // The layout of makedev in glibc: minor bits 0-7, major bits 8-19, minor bits 20-43, major bits
  // 44-63.
  for (const [dev, major, minor] of [
    [0n, 0, 0],
    [0x7ffn, 7, 255],
    [0x100700n, 7, 256],
    [0xfff_fff_ffn, 0xfff, 0xfffff],
    [0xffff_ffff_ffff_ffffn, 0xffff_ffff, 0xffff_ffff],
  ] as const) {
    it(`splits 0x${dev.toString(16)} into ${major}:${minor}`, () => {
      assert.deepEqual(devnumFromStat(dev), { major, minor });
    });
  }
});

describe('A device number', () => {
  it('is decimal for people and sysfs, hex for XenStore', () => {
    const devnum = { major: 253, minor: 0x12345 };
    assert.equal(formatDevnum(devnum), '253:74565');
    assert.equal(formatDevnumHex(devnum), 'fd:12345');
    assert.equal(formatDevnumHex({ major: 7, minor: 0 }), '7:0');
  });

  it('is read as it is written, over the whole range', () => {
    for (const major of [0, 7, 8, 259, 0xfff]) {
      for (const minor of [0, 1, 10, 255, 256, 0xfffff]) {
        assert.deepEqual(parseDevnumHex(formatDevnumHex({ major, minor })), { major, minor });
        assert.deepEqual(parseDevnum(`${formatDevnum({ major, minor })}\n`), { major, minor });
      }
    }
  });

  it('is the same only with the same major and minor', () => {
    assert.equal(sameDevnum({ major: 7, minor: 1 }, { major: 7, minor: 1 }), true);
    assert.equal(sameDevnum({ major: 7, minor: 1 }, { major: 7, minor: 2 }), false);
    assert.equal(sameDevnum({ major: 7, minor: 1 }, { major: 8, minor: 1 }), false);
  });

  it('is not read from anything else', () => {
    for (const text of [
      '',
      ':',
      '7',
      '7:',
      ':7',
      '7:0:0',
      '-7:0',
      '0x7:0',
      '7 :0',
      '7:0x',
      'a@7:0',
    ]) {
      assert.equal(parseDevnumHex(text), undefined, text);
      assert.equal(parseDevnum(text), undefined, text);
    }
    for (const text of ['1000:0', '7:100000', 'FD:0', ' 7:0', '7:0\n']) {
      assert.equal(parseDevnumHex(text), undefined, text);
    }
    for (const text of ['fd:0', '12345:0', '7:12345678']) {
      assert.equal(parseDevnum(text), undefined, text);
    }
  });
});
