import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { closeSync, copyFileSync, mkdirSync, openSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { failure } from '../../bed/assertions.js';
import { FuseFiles } from '../../bed/fuse-files.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { type HotplugFixture, on } from '../hotplug/fixture.js';
import { devnumOfNode } from '../topology/changing-storage.js';
import { ComparedIndex } from '../topology/compared-index.js';
import { openImage, QEMU } from './locked-images.js';

const run = promisify(execFile);

interface Overlay extends AsyncDisposable {
  readonly lower: string;
  readonly upper: string;
  readonly merged: string;
}

/**
 * Mounts an overlay with a file `low.img` in its lower layer and `up.img` in its upper layer.
 *
 * @param apart whether the upper layer lies on another file system than the lower one.
 */
async function mountOverlay(fixture: HotplugFixture, apart = false): Promise<Overlay> {
  const directory = (name: string): string => {
    const path = join(fixture.bed.images, name);
    mkdirSync(path);
    return path;
  };
  const top = directory('top');
  if (apart) await run('mount', ['-t', 'tmpfs', 'none', top]);
  const names = ['lower', 'top/upper', 'top/work', 'merged'];
  const [lower, upper, work, merged] = names.map(directory);
  assert.ok(lower && upper && work && merged);
  copyFileSync(fixture.image('low'), join(lower, 'low.img'));
  copyFileSync(fixture.image('up'), join(upper, 'up.img'));
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  await run('mount', ['-t', 'overlay', 'none', '-o', options, merged]);
  const dispose = async (): Promise<void> => {
    await run('umount', [merged]);
    if (apart) await run('umount', [top]);
  };
  return { lower, upper, merged, [Symbol.asyncDispose]: dispose };
}

describe('A file on an overlay', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'overlay', 'fuse');
  });

  it(
    'is the file of the layer that it lies in',
    on({}, async (fixture) => {
      await using overlay = await mountOverlay(fixture);
      const [through, direct] = [join(overlay.merged, 'up.img'), join(overlay.upper, 'up.img')];
      for (const [one, other] of [
        [through, direct],
        [direct, through],
      ] as const) {
        const first = await fixture.vbd(one);
        await fixture.attach(first);
        const second = await fixture.vbd(other, { frontend: 9 });
        const error = await failure('EBUSY', fixture.attach(second));
        assert.match(error.message, /attached read-write to domain 7/);
        await fixture.delete(first);
        await fixture.delete(second);
      }
    }),
  );

  it(
    'is read from a lower layer, and written to a copy',
    on({}, async (fixture) => {
      await using overlay = await mountOverlay(fixture);
      const [through, direct] = [join(overlay.merged, 'low.img'), join(overlay.lower, 'low.img')];
      const reader = await fixture.vbd(through, { mode: 'r' });
      await fixture.attach(reader);
      const writer = await fixture.vbd(direct, { frontend: 9 });
      await failure('EBUSY', fixture.attach(writer));
      await fixture.delete(reader);
      await fixture.delete(writer);
      const copied = await fixture.vbd(through, { devid: 51728 });
      await fixture.attach(copied);
      const beside = await fixture.vbd(direct, { frontend: 9, devid: 51728 });
      await fixture.attach(beside);
      await fixture.delete(beside);
      await fixture.delete(copied);
    }),
  );

  for (const apart of [false, true]) {
    it(
      `is busy as QEMU has locked it, ${apart ? 'with layers on two file systems' : 'by any path'}`,
      on({}, async (fixture) => {
        await using overlay = await mountOverlay(fixture, apart);
        const [through, direct] = [join(overlay.merged, 'up.img'), join(overlay.upper, 'up.img')];
        const copied = join(overlay.merged, 'low.img');
        for (const [locked, wanted] of [
          [through, through],
          [through, direct],
          [direct, through],
          [copied, copied],
          [copied, join(overlay.upper, 'low.img')],
        ] as const) {
          await using _qemu = await openImage(locked, QEMU.w);
          const vbd = await fixture.vbd(wanted);
          const { message } = await failure('EBUSY', fixture.attach(vbd));
          assert.match(message, /open read-write here in process/, `${locked}, ${wanted}`);
          await fixture.delete(vbd);
          const other = await fixture.vbd(join(overlay.lower, 'low.img'), { mode: 'w' });
          await fixture.attach(other);
          await fixture.delete(other);
          await fixture.detach(other);
        }
        await using _own = await openImage(through, QEMU.w, false, '-xen-domid', '7', '-nographic');
        const vbd = await fixture.vbd(direct);
        await fixture.attach(vbd);
        await fixture.delete(vbd);
      }),
    );
  }

  it(
    'is what QEMU serves to a guest, by any path',
    on({}, async (fixture) => {
      await using overlay = await mountOverlay(fixture);
      const [through, direct] = [join(overlay.merged, 'up.img'), join(overlay.upper, 'up.img')];
      const link = join(fixture.bed.images, 'link.img');
      symlinkSync(through, link);
      for (const [served, wanted] of [
        [through, direct],
        [link, direct],
        [direct, through],
      ] as const) {
        const nodes = { frontend: '/local/domain/8/device/vbd/51712', mode: 'w' };
        for (const [node, value] of Object.entries({ ...nodes, params: `aio:${served}` })) {
          await fixture.store.write(`backend/qdisk/8/51712/${node}`, value);
        }
        // QEMU would have the file open in this way.
        const qemu = openSync(served, 'r+');
        const vbd = await fixture.vbd(wanted);
        const { message } = await failure('EBUSY', fixture.attach(vbd));
        assert.match(message, /attached read-write to domain 8/);
        await fixture.delete(vbd);
        closeSync(qemu);
      }
    }),
  );

  it(
    'is known to the index as to a fresh look',
    on({}, async (fixture) => {
      await using overlay = await mountOverlay(fixture);
      await using loop = await attachLoop(join(overlay.merged, 'up.img'));
      const devnum = devnumOfNode(loop.path);
      assert.ok(devnum);
      const compared = new ComparedIndex();
      for (const round of ['a first look', 'another one']) {
        const direct = join(overlay.upper, 'up.img');
        assert.equal(await compared.compare(direct, [devnum], round), 1);
        assert.equal(await compared.compare(join(overlay.lower, 'low.img'), [devnum], round), 0);
      }
    }),
  );

  it(
    'is warned of by check where its layers cannot be seen, and a file on FUSE too',
    on({}, async (fixture) => {
      await using fuse = await FuseFiles.mount({ 'a.img': 4096 });
      const { status, stderr, stdout } = await fixture.cli([
        'check',
        fuse.path('a.img'),
        '--mode',
        'w',
      ]);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /can be attached read-write/);
      assert.match(stderr, /a\.img lies on a FUSE file system .*cannot be told/);
      await using overlay = await mountOverlay(fixture);
      await run('mount', ['-t', 'tmpfs', 'none', overlay.upper]);
      const through = join(overlay.merged, 'up.img');
      const hidden = await fixture.cli(['check', through, '--mode', 'w', '--json']);
      await run('umount', [overlay.upper]);
      const { warnings } = JSON.parse(hidden.stdout);
      assert.match(warnings[0], /up\.img lies on an overlay .*cannot be told/);
    }),
  );
});
