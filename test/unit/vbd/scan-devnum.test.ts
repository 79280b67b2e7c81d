import assert from 'node:assert/strict';
import { scanDevnum } from '../../../src/vbd/scan-devnum.js';

describe('scanDevnum', () => {
  for (const text of [
    '7:b',
    '7:B',
    '0x7:0xb',
    '0X7:0XB',
    '07:0b',
    ' 7:b',
    '\t\n7: b',
    '7:b ',
    '7:b\n',
    '7:b\0',
    '7:b\0junk',
    '7:b junk',
    '7:b:c',
    '7:0x0000000b',
    // MKDEV and numbers of 32 bits drop or move some bits of these.
    '0:70000b',
    '100000007:10000000b',
  ]) {
    it(`takes ${JSON.stringify(text)} for loop device 11, as blkback does`, () => {
      assert.deepEqual(scanDevnum(text), { major: 7, minor: 11 });
    });
  }

  for (const text of [
    '',
    '7',
    '7:',
    ':b',
    '-7:b',
    '7:-b',
    '+7:b',
    '7 :b',
    'hello',
    '0:0',
    '\x007:b',
    'x7:b',
  ]) {
    it(`finds no device in ${JSON.stringify(text)}`, () => {
      assert.equal(scanDevnum(text), undefined);
    });
  }

  it('takes 0x without digits for a zero, as the kernel does', () => {
    assert.deepEqual(scanDevnum('7:0x'), { major: 7, minor: 0 });
  });
});
