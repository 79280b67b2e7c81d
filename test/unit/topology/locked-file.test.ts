import assert from 'node:assert/strict';
import { hiddenKinds, isLockOn, mayBeLockOf } from '../../../src/topology/locked-file.js';

const file = { kind: 'file', device: 0xfe00n, inode: 12345n } as const;
const place = (major: number, minor: number) => ({ devnum: { major, minor }, inode: 12345n });
const MOUNTS = [
  { devnum: { major: 0, minor: 5 }, type: 'devtmpfs', directory: '/dev' },
  { devnum: { major: 0, minor: 40 }, type: 'btrfs', directory: '/srv' },
  { devnum: { major: 0, minor: 41 }, type: 'tmpfs', directory: '/run' },
  { devnum: { major: 0, minor: 42 }, type: 'overlay', directory: '/merged' },
  { devnum: { major: 0, minor: 43 }, type: 'tmpfs', directory: '/jail/dev' },
];

describe('isLockOn', () => {
  it('compares file system and inode', () => {
    assert.equal(isLockOn(place(254, 0), file), true);
    assert.equal(isLockOn(place(254, 0), { ...file, inode: 1n }), false);
    assert.equal(isLockOn(place(254, 0), { ...file, device: 0xfe01n }), false);
  });
});

describe('mayBeLockOf', () => {
  it('knows that files of btrfs and overlays may have numbers of their own', () => {
    const may = (minor: number, device: bigint): boolean =>
      mayBeLockOf(place(0, minor), { ...file, device }, MOUNTS);
    assert.deepEqual([may(40, 50n), may(42, 50n)], [true, true]);
    assert.deepEqual([may(40, 41n), may(41, 50n), may(40, 0xfe00n)], [false, false, false]);
    assert.equal(mayBeLockOf(place(0, 40), { ...file, device: 50n, inode: 1n }, MOUNTS), false);
  });
});

describe('hiddenKinds', () => {
  it('tells what a locked file may be, by its file system', () => {
    const kinds = (major: number, minor: number) => [...hiddenKinds(place(major, minor), MOUNTS)];
    assert.deepEqual([kinds(0, 5), kinds(0, 43), kinds(0, 42)], [['node'], ['node'], ['file']]);
    assert.deepEqual([kinds(0, 99), kinds(0, 41), kinds(254, 0)], [['node', 'file'], [], []]);
  });
});
