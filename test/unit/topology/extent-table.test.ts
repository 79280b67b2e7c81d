import assert from 'node:assert/strict';
import type { Extent } from '../../../src/topology/extent.js';
import { ExtentTable } from '../../../src/topology/extent-table.js';

const DISK = { kind: 'disk', devnum: { major: 8, minor: 0 } } as const;
const FILE = { kind: 'file', device: 1n, inode: 2n } as const;
const device = (minor: number) => ({ major: 254, minor });
const on = (storage: Extent['storage'], start: bigint, end: bigint | undefined): Extent => ({
  storage,
  start,
  end,
});

function meeting(table: ExtentTable, ...extents: Extent[]): number[] {
  return [...table.meeting(extents).values()].map(({ minor }) => minor).sort();
}

describe('ExtentTable', () => {
  it('finds the devices that have some of the bytes, by storage and window', () => {
    const table = new ExtentTable();
    table.set(device(1), [on(DISK, 0n, 100n)]);
    table.set(device(2), [on(DISK, 100n, 200n), on(FILE, 0n, undefined)]);
    table.set(device(3), [on(FILE, 0n, 10n)]);
    assert.deepEqual(meeting(table, on(DISK, 0n, 100n)), [1]);
    assert.deepEqual(meeting(table, on(DISK, 99n, 101n)), [1, 2]);
    assert.deepEqual(meeting(table, on(DISK, 200n, undefined)), []);
    assert.deepEqual(meeting(table, on(FILE, 5n, 6n)), [2, 3]);
    assert.deepEqual(meeting(table, on(DISK, 0n, 1n), on(FILE, 50n, 60n)), [1, 2]);
  });

  it('finds a device of unknown bytes always', () => {
    const table = new ExtentTable();
    table.set(device(1), undefined);
    assert.deepEqual(meeting(table, on(DISK, 0n, 1n)), [1]);
    assert.deepEqual(meeting(table), [1]);
  });

  it('forgets where a device was when it is entered again or deleted', () => {
    const table = new ExtentTable();
    table.set(device(1), [on(DISK, 0n, 100n)]);
    table.set(device(1), [on(FILE, 0n, 100n)]);
    assert.deepEqual(meeting(table, on(DISK, 0n, 100n)), []);
    assert.deepEqual(meeting(table, on(FILE, 0n, 100n)), [1]);
    table.set(device(1), undefined);
    for (const key of table.keys()) table.delete(key);
    assert.deepEqual(meeting(table, on(FILE, 0n, 100n)), []);
  });

  it('leaves out those with which the bytes are compared further up', () => {
    const table = new ExtentTable();
    const beneath = (...devices: string[]): Extent => ({
      ...on(DISK, 0n, undefined),
      beneath: devices,
    });
    table.set(device(1), [beneath('array')]);
    table.set(device(2), [beneath('array', 'pool')]);
    table.set(device(3), [on(DISK, 0n, 10n)]);
    assert.deepEqual(meeting(table, beneath('array')), [3]);
    assert.deepEqual(meeting(table, beneath('pool')), [1, 3]);
    assert.deepEqual(meeting(table, on(DISK, 10n, 11n)), [1, 2]);
    table.delete([...table.keys()][0] ?? 0);
    assert.deepEqual(meeting(table, beneath('pool')), [3]);
  });
});
