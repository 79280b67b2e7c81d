import assert from 'node:assert/strict';
import { locksOf } from '../../../src/sharing/storage-locks.js';
import type { Extent } from '../../../src/topology/extent.js';

const ON_DISK = {
  storage: { kind: 'disk', devnum: { major: 8, minor: 0 } },
  start: 0n,
  end: undefined,
} as const;
const exclusive = (writes: boolean, ...extents: Extent[]): boolean[] =>
  locksOf(extents, writes).map((lock) => lock.exclusive);

describe('The locks of an export', () => {
  it('are one for each storage, exclusive if it is written', () => {
    const file = { ...ON_DISK, storage: { kind: 'file', device: 1n, inode: 2n } } as const;
    assert.deepEqual(locksOf([ON_DISK, file, { ...ON_DISK, start: 9n }], true), [
      { key: 'disk 8:0', exclusive: true },
      { key: 'file 1:2', exclusive: true },
    ]);
    assert.deepEqual(exclusive(false, ON_DISK, file), [false, false]);
  });

  it('let volumes of one pool, and those that read one origin, go beside each other', () => {
    assert.deepEqual(exclusive(true, { ...ON_DISK, beneath: ['pool 253:0'] }), [false]);
    assert.deepEqual(exclusive(true, { ...ON_DISK, readOnly: true }), [false]);
    assert.deepEqual(exclusive(true, { ...ON_DISK, beneath: ['device 9:0'] }), [true]);
    assert.deepEqual(exclusive(true, { ...ON_DISK, readOnly: true }, ON_DISK), [true]);
  });
});
