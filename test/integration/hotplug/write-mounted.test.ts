import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { type HotplugFixture, on } from './fixture.js';

const run = promisify(execFile);
const EBUSY = 16;

/** Makes a disk and mounts it here. */
async function mountDisk(
  fixture: HotplugFixture,
): Promise<AsyncDisposable & { path: string; place: string }> {
  const { path, detach } = await attachLoop(fixture.image('', { size: 1024 * 1024 }));
  const place = join(fixture.bed.images, 'mounted');
  mkdirSync(place);
  await run('mke2fs', ['-q', '-F', path]);
  await run('mount', [path, place]);
  return {
    path,
    place,
    [Symbol.asyncDispose]: async () => {
      await run('umount', [place]);
      await detach();
    },
  };
}

describe('A kernel that lets nobody write what is mounted', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  // blkback would fail here too: its open for writing fails with EBUSY.
  it(
    'is told of the mount by the sharing check, before blkback is asked',
    on({ failOpen: EBUSY }, async (fixture) => {
      await using disk = await mountDisk(fixture);
      const vbd = await fixture.vbd(disk.path);
      const error = await failure('EBUSY', fixture.attach(vbd));
      assert.ok(error.message.includes(`mounted read-write here, ${disk.path} on ${disk.place}`));
      assert.equal(await fixture.node(vbd, 'hotplug-status'), 'busy');
    }),
  );

  it(
    'is named by its option where sharing=allow has asked blkback all the same',
    on({ failOpen: EBUSY }, async (fixture) => {
      await using disk = await mountDisk(fixture);
      const vbd = await fixture.vbd(`path=${disk.path},sharing=allow`);
      const { message } = await failure('EBLKBACK', fixture.attach(vbd));
      assert.match(message, /2 creating vbd structure.*CONFIG_BLK_DEV_WRITE_MOUNTED/);
      assert.ok(message.includes(`in use here by the mount ${disk.place}`), message);
      const told = await fixture.node(vbd, 'hotplug-error');
      assert.equal(told, 'vbd 51712: blkback could not open its device');
    }),
  );
});
