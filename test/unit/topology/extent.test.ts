import assert from 'node:assert/strict';
import {
  type Extent,
  overlap,
  project,
  type Storage,
  storageKey,
} from '../../../src/topology/extent.js';

const file: Storage = { kind: 'file', device: 0xfe00n, inode: 7n };
const disk: Storage = { kind: 'disk', devnum: { major: 8, minor: 0 } };
const on = (storage: Storage, start: bigint, end?: bigint): Extent => ({ storage, start, end });

describe('Extents', () => {
  for (const [what, a, b, met] of [
    ['the same bytes', on(file, 0n, 10n), on(file, 0n, 10n), true],
    ['one byte in common', on(file, 0n, 10n), on(file, 9n, 20n), true],
    ['neighbours', on(file, 0n, 10n), on(file, 10n, 20n), false],
    ['one within the other', on(file, 0n, 100n), on(file, 40n, 50n), true],
    ['one without an end', on(file, 5n), on(file, 1000n, 1001n), true],
    ['one that ends where the endless one begins', on(file, 5n), on(file, 0n, 5n), false],
    ['two without an end', on(file, 5n), on(file, 7n), true],
    ['an empty one within another', on(file, 5n, 5n), on(file, 0n), false],
    ['another inode', on(file, 0n), on({ ...file, inode: 8n }, 0n), false],
    ['another file system', on(file, 0n), on({ ...file, device: 1n }, 0n), false],
    ['file and disk', on(file, 0n), on(disk, 0n), false],
    [
      'another disk',
      on(disk, 0n),
      on({ kind: 'disk', devnum: { major: 8, minor: 16 } }, 0n),
      false,
    ],
  ] as const) {
    it(`${met ? 'meet' : 'do not meet'}: ${what}`, () => {
      assert.equal(overlap([a], [b]), met);
      assert.equal(overlap([b], [a]), met);
    });
  }

  it('meet if one of many does', () => {
    const some = [on(disk, 0n, 5n), on(file, 0n, 5n)];
    assert.ok(overlap(some, [on(file, 9n), on(disk, 4n, 6n)]));
    assert.ok(!overlap(some, [on(file, 9n), on(disk, 5n, 6n)]));
    assert.ok(!overlap(some, []));
  });

  it('have keys that tell storages apart, and are one for a disk that shows under two names', () => {
    assert.notEqual(storageKey(file), storageKey(disk));
    const [sda, sdb] = [0, 16].map((minor) => ({
      kind: 'disk' as const,
      devnum: { major: 8, minor },
    }));
    assert.ok(sda && sdb);
    assert.notEqual(storageKey(sda), storageKey(sdb));
    const wwid = 'naa.6001405';
    assert.equal(storageKey({ ...sda, wwid }), storageKey({ ...sdb, wwid }));
    assert.notEqual(storageKey({ ...sda, wwid }), storageKey(sda));
  });

  it('do not meet beneath a device on which they have been compared', () => {
    const beneath = (...devices: string[]) => ({ ...on(disk, 0n), beneath: devices });
    assert.ok(overlap([beneath('a')], [on(disk, 0n)]));
    assert.ok(overlap([beneath('a')], [beneath('b')]));
    assert.ok(!overlap([beneath('a', 'b')], [beneath('b', 'c')]));
    assert.ok(overlap([beneath('a'), beneath('c')], [beneath('a', 'b')]));
  });

  it('do not meet in pairs that do not count', () => {
    const read = { ...on(disk, 0n), readOnly: true } as const;
    const counts = (a: Extent, b: Extent): boolean => !a.readOnly && !b.readOnly;
    assert.ok(!overlap([read], [on(disk, 0n)], counts));
    assert.ok(overlap([read, on(file, 0n)], [read, on(file, 0n)], counts));
  });
});

describe('project', () => {
  const part = { at: 100n, start: 1000n, length: 50n };

  for (const [window, below] of [
    [
      [0n, undefined],
      [1000n, 1050n],
    ],
    [
      [110n, 120n],
      [1010n, 1020n],
    ],
    [
      [90n, 110n],
      [1000n, 1010n],
    ],
    [
      [140n, 500n],
      [1040n, 1050n],
    ],
  ] as const) {
    it(`finds ${window.join(' to ')} at ${below.join(' to ')}`, () => {
      const [start, end] = window;
      assert.deepEqual(project({ start, end }, part), { start: below[0], end: below[1] });
    });
  }

  it('has no end where neither part nor window has one', () => {
    const whole = { at: 0n, start: 4096n, length: undefined };
    assert.deepEqual(project({ start: 512n, end: undefined }, whole), {
      start: 4608n,
      end: undefined,
    });
  });
});
