import assert from 'node:assert/strict';
import { constants } from 'node:os';
import {
  decodeDirectoryPart,
  decodeErrno,
  decodeNumber,
  decodeTexts,
} from '../../../src/xenstore/payload.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('A XenStore payload', () => {
  it('is an error by name, and EINVAL where the name is not known', () => {
    const { ENOENT, EAGAIN, E2BIG, EINVAL } = constants.errno;
    assert.equal(decodeErrno(bytes('ENOENT\0')), ENOENT);
    assert.equal(decodeErrno(bytes('EAGAIN\0')), EAGAIN);
    assert.equal(decodeErrno(bytes('E2BIG')), E2BIG);
    for (const name of ['', '\0', 'ENOSUCH\0', 'enoent\0', 'constructor\0']) {
      assert.equal(decodeErrno(bytes(name)), EINVAL, name);
    }
  });

  it('is a list of names, none of them where it is empty', () => {
    assert.deepEqual(decodeTexts(bytes('')), []);
    assert.deepEqual(decodeTexts(bytes('a\0')), ['a']);
    assert.deepEqual(decodeTexts(bytes('a\0bc\0')), ['a', 'bc']);
    assert.deepEqual(decodeTexts(bytes('a\0bc')), ['a', 'bc']);
  });

  it('is a quota that is reached, by the name that oxenstored gives it', () => {
    assert.equal(decodeErrno(bytes('EQUOTA\0')), constants.errno.ENOSPC);
  });

  it('is a number in decimal and nothing else', () => {
    assert.equal(decodeNumber(bytes('4294967295\0')), 4294967295);
    for (const text of ['', '\0', '-1\0', '0x1\0', '1 \0', 'T\0', '99999999999\0']) {
      assert.ok(Number.isNaN(decodeNumber(bytes(text))), text);
    }
  });

  it('is a part of a directory, whose end an empty name marks', () => {
    const part = { generation: '12', names: ['a', 'bc'], size: 5 };
    assert.deepEqual(decodeDirectoryPart(bytes('12\0a\0bc\0')), { ...part, isLast: false });
    assert.deepEqual(decodeDirectoryPart(bytes('12\0a\0bc\0\0')), { ...part, isLast: true });
    const none = { generation: '12', names: [], size: 0, isLast: true };
    assert.deepEqual(decodeDirectoryPart(bytes('12\0\0')), none);
  });
});
