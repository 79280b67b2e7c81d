import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { failure, only } from '../../bed/assertions.js';
import { linear } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { type HotplugFixture, MARKER } from '../hotplug/fixture.js';
import { layers, withMapper } from './bench.js';

const MIB = 1024 * 1024;

describe('layer=linear claims the device for the guest', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  it(
    'an exclusive open, mount and mkfs of it fail, which succeed beside a plain attach',
    withMapper({}, async (fixture, bench) => {
      for (const layer of [false, true]) {
        const disk = await bench.disk('', { size: 4 * MIB });
        assert.equal(run('mkfs.ext2', '-q', '-F', disk.path).status, 0);
        const vbd = await fixture.vbd(layer ? `path=${disk.path},layer=linear` : disk.path);
        await fixture.attach(vbd);
        const where = `${layer ? 'with a layer' : 'plain'}: `;
        assert.equal(exclusive(disk.path), layer ? 'EBUSY' : 'free', `${where}O_EXCL`);
        const place = mountPoint(fixture, disk.path);
        const mounted = run('mount', disk.path, place);
        assert.equal(mounted.status === 0, !layer, `${where}mount: ${mounted.stderr}`);
        if (layer) assert.match(mounted.stderr, /busy/);
        else run('umount', place);
        // With -F, mkfs would not ask the kernel whether the device is in use.
        const made = run('mkfs.ext2', '-q', disk.path);
        assert.equal(made.status === 0, !layer, `${where}mkfs: ${made.stderr}`);
        if (layer) assert.match(made.stderr, /in use/);
        await fixture.delete(vbd);
        await fixture.detach(vbd);
      }
    }),
  );

  it(
    'two guests that only read have layers over one disk side by side',
    withMapper({}, async (fixture, bench) => {
      const disk = await bench.disk(MARKER);
      for (const frontend of [7, 8]) {
        const params = `path=${disk.path},layer=linear`;
        const vbd = await fixture.vbd(params, { frontend, mode: 'r' });
        await fixture.attach(vbd);
        const { bytes, readOnly } = await fixture.logged(vbd, 'opened');
        assert.deepEqual([bytes, readOnly], [MARKER, 1]);
      }
      assert.equal((await layers()).length, 2);
    }),
  );

  it(
    'a disk that another mapper device stands on can have one too',
    withMapper({}, async (fixture, bench) => {
      const disk = await bench.disk(MARKER);
      await bench.mapped('bench-local', linear(disk.path), { readOnly: true });
      assert.equal(exclusive(disk.path), 'EBUSY');
      const vbd = await fixture.vbd(`path=${disk.path},layer=linear`, { mode: 'r' });
      await fixture.attach(vbd);
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      only(await layers());
    }),
  );

  for (const mode of ['r', 'w'] as const) {
    it(
      `a mounted disk is refused, for mode ${mode}, by a sentence that names the mount`,
      withMapper({}, async (fixture, bench) => {
        const disk = await bench.disk('', { size: 4 * MIB });
        assert.equal(run('mkfs.ext2', '-q', '-F', disk.path).status, 0);
        const place = mountPoint(fixture, disk.path);
        const { status, stderr } = run('mount', disk.path, place);
        assert.equal(status, 0, stderr);
        try {
          const vbd = await fixture.vbd(`path=${disk.path},layer=linear`, { mode });
          const error = await failure('EBUSY', fixture.attach(vbd));
          assert.ok(error.message.includes(place), error.message);
          assert.deepEqual(fixture.events(vbd, 'physical-device'), []);
          assert.deepEqual(await layers(), []);
        } finally {
          run('umount', place);
        }
      }),
    );
  }

  it(
    'a disk that somebody has claimed is refused, and so is one that is swapped to',
    withMapper({}, async (fixture, bench) => {
      const disk = await bench.disk('', { size: 4 * MIB });
      const holder = openSync(disk.path, constants.O_RDWR | constants.O_EXCL);
      try {
        const vbd = await fixture.vbd(`path=${disk.path},layer=linear`);
        await failure('EBUSY', fixture.attach(vbd));
      } finally {
        closeSync(holder);
      }
      assert.equal(run('mkswap', disk.path).status, 0);
      const { status, stderr } = run('swapon', disk.path);
      assert.equal(status, 0, stderr);
      try {
        const vbd = await fixture.vbd(`path=${disk.path},layer=linear`);
        const error = await failure('EBUSY', fixture.attach(vbd));
        assert.match(error.message, /swap/);
      } finally {
        run('swapoff', disk.path);
      }
      assert.deepEqual(await layers(), []);
    }),
  );
});

function run(program: string, ...args: string[]) {
  return spawnSync(program, args, { encoding: 'utf8', input: '' });
}

/** Returns `free`, or the error code of an exclusive open. */
function exclusive(path: string): string {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_EXCL));
    return 'free';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

function mountPoint(fixture: HotplugFixture, device: string): string {
  const path = join(fixture.bed.directory, `mount-${device.replaceAll('/', '-')}`);
  mkdirSync(path, { recursive: true });
  return path;
}
