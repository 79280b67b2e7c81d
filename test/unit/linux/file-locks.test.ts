import assert from 'node:assert/strict';
import { parseFileLocks } from '../../../src/linux/file-locks.js';
import { isLockOf, lockedAccess } from '../../../src/topology/image-uses.js';

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
});

describe('lockedAccess', () => {
  for (const [what, access, ...locks] of [
    ['nobody', undefined],
    ['QEMU that writes', 'read-write', lock(100n, 101n), lock(103n, 103n), lock(201n, 201n)],
    ['QEMU that only resizes', 'read-write', lock(103n, 103n)],
    ['QEMU that reads', 'read-only', lock(100n, 100n), lock(201n, 201n), lock(203n, 203n)],
    ['cloud-hypervisor that writes', 'read-write', lock(0n, 1048575n, true)],
    ['cloud-hypervisor that reads', 'read-only', lock(0n, 1048575n)],
    ['cloud-hypervisor that reads a whole file', 'read-only', lock(0n)],
  ] as const) {
    it(`of ${what} is ${access ?? 'none'}`, () => assert.equal(lockedAccess(locks), access));
  }
});

describe('isLockOf', () => {
  const file = { kind: 'file', device: 0xfe00n, inode: 12345n } as const;

  it('compares file system and inode', () => {
    assert.equal(isLockOf(lock(0n), file, []), true);
    assert.equal(isLockOf(lock(0n), { ...file, inode: 1n }, []), false);
    assert.equal(isLockOf(lock(0n), { ...file, device: 0xfe01n }, []), false);
  });

  it('knows that subvolumes of btrfs have numbers of their own', () => {
    const mounts = [
      { devnum: { major: 0, minor: 40 }, type: 'btrfs' },
      { devnum: { major: 0, minor: 41 }, type: 'tmpfs' },
    ];
    const onBtrfs = { ...lock(0n), devnum: { major: 0, minor: 40 } };
    assert.equal(isLockOf(onBtrfs, { ...file, device: 50n }, mounts), true);
    assert.equal(isLockOf(onBtrfs, { ...file, device: 41n }, mounts), false);
    const onTmpfs = { ...lock(0n), devnum: { major: 0, minor: 41 } };
    assert.equal(isLockOf(onTmpfs, { ...file, device: 50n }, mounts), false);
  });
});
