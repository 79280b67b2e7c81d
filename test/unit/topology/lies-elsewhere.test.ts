import assert from 'node:assert/strict';
import { type Mount, mountOf } from '../../../src/linux/mounts.js';
import type { Extent } from '../../../src/topology/extent.js';
import { isBeside } from '../../../src/topology/lies-elsewhere.js';

const mount = (directory: string, minor: number, more: Partial<Mount> = {}): Mount => ({
  id: minor,
  devnum: { major: 0, minor },
  directory,
  source: 'server:/export',
  type: 'nfs4',
  readOnly: false,
  noDevices: false,
  root: '/',
  options: 'rw',
  ...more,
});

describe('mountOf', () => {
  const mounts = [mount('/', 1), mount('/mnt', 2), mount('/mnt/a', 3), mount('/mnt', 4)];
  for (const [path, minor] of [
    ['/disk', 1],
    ['/mnt/disk', 4],
    ['/mnt/a/disk', 3],
    ['/mnt/ab/disk', 4],
    ['/mnt/a/disk (deleted)', 3],
    ['/mntx', 1],
    ['/mnt/a', 3],
  ] as const) {
    it(`finds where ${path} leads to`, () => {
      assert.equal(mountOf(path, mounts)?.devnum.minor, minor);
    });
  }

  it('finds nothing for what is no whole path', () => {
    assert.equal(mountOf('disk', mounts), undefined);
    assert.equal(mountOf('', mounts), undefined);
  });
});

describe('A file of a loop device', () => {
  const facts = { path: '/mnt/disk', size: 4096n * 1024n, offset: 0n, sizeLimit: 0n };
  const file = (minor: bigint): Extent => ({
    storage: { kind: 'file', device: minor, inode: 5n },
    start: 0n,
    end: undefined,
  });
  const disk: Extent = {
    storage: { kind: 'disk', devnum: { major: 8, minor: 0 } },
    start: 0n,
    end: undefined,
  };

  it('is beside files of other file systems, and not beside those of its own', () => {
    assert.ok(isBeside(facts, mount('/mnt', 2), [file(3n)], () => []));
    assert.ok(!isBeside(facts, mount('/mnt', 2), [file(3n), file(2n)], () => []));
  });

  it('may be the node of a disk of its size where nodes are of effect', () => {
    assert.ok(!isBeside(facts, mount('/mnt', 2), [disk], () => [1000n, 4096n]));
    assert.ok(isBeside(facts, mount('/mnt', 2), [disk], () => [1000n, 4100n]));
    assert.ok(isBeside(facts, mount('/mnt', 2, { noDevices: true }), [disk], () => [4096n]));
  });

  it('may be the node of any larger disk where its size is limited', () => {
    const limited = { ...facts, sizeLimit: facts.size };
    assert.ok(!isBeside(limited, mount('/mnt', 2), [disk], () => [100_000n]));
    const shifted = { ...facts, offset: 1024n * 1024n };
    assert.ok(!isBeside(shifted, mount('/mnt', 2), [disk], () => [5120n]));
  });
});
