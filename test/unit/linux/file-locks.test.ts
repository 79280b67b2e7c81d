import assert from 'node:assert/strict';
import { parseFileLocks } from '../../../src/linux/file-locks.js';

const TEXT = `1: OFDLCK ADVISORY  READ -1 fe:00:12345 100 101
2: FLOCK  ADVISORY  WRITE 7450 fe:00:5308825 0 EOF
3: POSIX  ADVISORY  WRITE 4711 00:2d:12345 0 EOF
3: -> POSIX  ADVISORY  WRITE 4712 00:2d:12345 0 EOF
4: LEASE  ACTIVE    READ 1 fe:00:1 0 EOF
`;
const lock = (start: bigint, end?: bigint, exclusive = false) => ({
  exclusive,
  devnum: { major: 254, minor: 0 },
  inode: 12345n,
  start,
  end,
  pid: undefined,
});

describe('parseFileLocks', () => {
  it('reads record locks, and leaves out what is none', () => {
    assert.deepEqual(parseFileLocks(TEXT), [
      lock(100n, 101n),
      { ...lock(0n, undefined, true), devnum: { major: 0, minor: 45 }, pid: 4711 },
    ]);
  });

  it('reads the locks of a descriptor too', () => {
    const text = `pos:\t0\nflags:\t0100002\nlock:\t1: OFDLCK ADVISORY  READ -1 fe:00:12345 100 101\n`;
    assert.deepEqual(parseFileLocks(text), [lock(100n, 101n)]);
  });
});
