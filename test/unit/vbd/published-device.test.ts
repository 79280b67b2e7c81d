import assert from 'node:assert/strict';
import { readPublishedDevice } from '../../../src/vbd/published-device.js';
import { VbdBackend, type VbdNode } from '../../../src/vbd/vbd-backend.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';

const vbd = parseVbdPath('backend/vbd/7/51712') as VbdPath;

function read(nodes: Partial<Record<VbdNode, string>>) {
  const values = Object.entries(nodes).map(
    ([node, text]) => [node as VbdNode, Buffer.from(text)] as const,
  );
  return readPublishedDevice(vbd, new VbdBackend(new Map(values), undefined));
}

describe('readPublishedDevice', () => {
  it('finds nothing where physical-device is not set, whatever else is', () => {
    assert.equal(read({}), undefined);
    assert.equal(read({ diskseq: '1f', 'physical-device-path': '/dev/loop3' }), undefined);
  });

  it('reads number, diskseq and path', () => {
    const nodes = { 'physical-device': 'fd:1a', diskseq: 'ff', 'physical-device-path': '/dev/x' };
    assert.deepEqual(read(nodes), {
      devnum: { major: 253, minor: 26 },
      diskseq: 255n,
      path: '/dev/x',
    });
  });

  it('reads the inline dialect, with or without the diskseq node', () => {
    const expected = { devnum: { major: 7, minor: 16 }, diskseq: 255n, path: undefined };
    assert.deepEqual(read({ 'physical-device': 'ff@7:10' }), expected);
    assert.deepEqual(read({ 'physical-device': 'ff@7:10', diskseq: 'ff' }), expected);
  });

  it('reads what another script published: a number alone', () => {
    assert.deepEqual(read({ 'physical-device': '8:0' }), {
      devnum: { major: 8, minor: 0 },
      diskseq: undefined,
      path: undefined,
    });
  });

  it('takes the longest diskseq, and none that is not one', () => {
    const diskseqOf = (diskseq: string) => read({ 'physical-device': '7:0', diskseq })?.diskseq;
    assert.equal(diskseqOf('f'.repeat(16)), (1n << 64n) - 1n);
    for (const text of ['', '0x1f', 'FF', 'xyz', '1f ', '-1', 'f'.repeat(17)]) {
      assert.equal(diskseqOf(text), undefined, text);
    }
  });

  for (const text of ['', 'hello', '7', '7:', ':0', 'ff@', '1000:0']) {
    it(`throws EPUBLISHED for ${JSON.stringify(text)} and shows it`, () => {
      assert.throws(() => read({ 'physical-device': text }), {
        code: 'EPUBLISHED',
        message: `backend/vbd/7/51712/physical-device is ${JSON.stringify(text)}, which names no device to blkback`,
      });
    });
  }

  it('takes every spelling that blkback takes', () => {
    for (const text of ['7:0 junk', '0x7:0x0', '07:00', ' 7: 0', '7:0@ff', '7:0\n', '7:0\0']) {
      assert.deepEqual(read({ 'physical-device': text })?.devnum, { major: 7, minor: 0 }, text);
    }
  });

  it('throws EPUBLISHED for more than one diskseq before the number', () => {
    assert.throws(() => read({ 'physical-device': '1@2@7:0' }), { code: 'EPUBLISHED' });
  });
});
