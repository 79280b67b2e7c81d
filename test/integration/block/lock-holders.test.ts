import assert from 'node:assert/strict';
import { rmSync, statSync } from 'node:fs';
import { listLockHolders } from '../../../src/block/lock-holders.js';
import { readFileLocks } from '../../../src/linux/file-locks.js';
import { makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { temporaryDirectory } from '../../bed/paths.js';
import { openImage } from '../sharing/locked-images.js';

describe('The processes that hold locks', () => {
  let directory: string;

  before(function () {
    needs(this, 'root');
  });
  beforeEach(() => {
    directory = temporaryDirectory();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it('are found by their descriptors, with the file and the guest that each serves', async () => {
    const image = makeImage(directory, { marker: 'x' });
    await using _model = await openImage(
      image,
      [100, 101],
      false,
      '-xen-domid',
      '12',
      '-nographic',
    );
    // Has the same file open, and locks nothing.
    await using _idle = await openImage(image, []);
    const { dev, ino } = statSync(image, { bigint: true });
    const locks = readFileLocks().filter(({ inode }) => inode === ino);
    assert.equal(locks.length, 1);
    const [holder, ...others] = await listLockHolders(locks);
    assert.deepEqual(others, []);
    assert.equal(holder?.domid, 12);
    assert.equal(holder.path, image);
    assert.deepEqual([holder.file.dev, holder.file.ino], [dev, ino]);
    assert.deepEqual(holder.locks, locks);
    const [lock] = locks;
    assert.ok(lock);
    assert.deepEqual(await listLockHolders([{ ...lock, inode: 1n }]), []);
  });
});
