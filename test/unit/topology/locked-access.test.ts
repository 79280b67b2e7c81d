import assert from 'node:assert/strict';
import { lockedAccess } from '../../../src/topology/locked-access.js';

const lock = (start: bigint, end?: bigint, exclusive = false) => ({
  exclusive,
  devnum: { major: 254, minor: 0 },
  inode: 12345n,
  start,
  end,
  pid: undefined,
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
