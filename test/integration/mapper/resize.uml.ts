import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { resize } from '../../../src/hotplug/resize.js';
import type { NewSize } from '../../../src/hotplug/resize-file.js';
import { failure, only } from '../../bed/assertions.js';
import { needs } from '../../bed/needs.js';
import type { Vbd } from '../../bed/toolstack.js';
import { type HotplugFixture, parse } from '../hotplug/fixture.js';
import { layers, withMapper } from './bench.js';

const MIB = 1024 * 1024;
const TEXT = 'what the guest has written';

function resizeVbd(fixture: HotplugFixture, vbd: Vbd, size?: NewSize) {
  const { sysfs } = fixture.blkback;
  const { runDirectory } = fixture.bed;
  return resize(fixture.store, parse(vbd), { timeoutMs: 8000, sysfs, runDirectory, size });
}

function sizeOf(path: string): number {
  return Number(readFileSync(`/sys/class/block/${path.slice('/dev/'.length)}/size`, 'utf8')) * 512;
}

function writeText(path: string): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, TEXT, 4096);
  fsyncSync(fd);
  closeSync(fd);
}

/**
 * Reads the text from the device itself. The cache of this kernel would not show which key decrypts
 * it.
 */
function readText(path: string): string {
  execFileSync('blockdev', ['--flushbufs', path]);
  const fd = openSync(path, 'r');
  const bytes = Buffer.alloc(TEXT.length);
  readSync(fd, bytes, 0, bytes.length, 4096);
  closeSync(fd);
  return bytes.toString();
}

describe('resize', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const kind of ['linear', 'crypt'] as const) {
    it(
      `lets a ${kind} layer follow its file, which grows and shrinks, and keeps what is on it`,
      withMapper({}, async (fixture) => {
        const image = fixture.image('x', { size: MIB });
        const vbd = await fixture.vbd(`path=${image},layer=${kind}`);
        await fixture.attach(vbd);
        const { kernelPath, uuid } = only(await layers());
        writeText(kernelPath);
        for (const size of [3 * MIB, 2 * MIB]) {
          truncateSync(image, size);
          assert.equal((await resizeVbd(fixture, vbd)).bytes, BigInt(size));
          assert.equal(sizeOf(kernelPath), size);
          assert.equal(readText(kernelPath), TEXT);
          assert.equal((await fixture.attach(vbd)).already, true);
        }
        const layer = only(await layers());
        assert.deepEqual([layer.uuid, layer.deferred], [uuid, true]);
        await fixture.close(vbd);
        await fixture.detach(vbd);
        assert.deepEqual(await layers(), []);
        fixture.assertNothingLeft();
      }),
    );
  }

  it(
    'gives the file of a layer another size, and the layer with it, without cutting what it keeps',
    withMapper({}, async (fixture) => {
      const image = fixture.image('x', { size: MIB });
      const vbd = await fixture.vbd(`path=${image},layer=linear`);
      await fixture.attach(vbd);
      const { kernelPath } = only(await layers());
      writeText(kernelPath);
      for (const size of [3 * MIB, 2 * MIB]) {
        const wanted = { bytes: BigInt(size), shrink: true };
        assert.equal((await resizeVbd(fixture, vbd, wanted)).bytes, BigInt(size));
        assert.deepEqual([statSync(image).size, sizeOf(kernelPath)], [size, size]);
        assert.equal(readText(kernelPath), TEXT);
      }
      const smaller = { bytes: BigInt(MIB), shrink: false };
      await failure('EWINDOW', resizeVbd(fixture, vbd, smaller));
      assert.deepEqual([statSync(image).size, sizeOf(kernelPath)], [2 * MIB, 2 * MIB]);
    }),
  );

  it(
    'makes a loop device as large as its file, without a layer too, and leaves one that is so',
    withMapper({}, async (fixture) => {
      const image = fixture.image('x', { size: MIB });
      const vbd = await fixture.vbd(image);
      await fixture.attach(vbd);
      const loop = only(fixture.loops());
      truncateSync(image, 2 * MIB);
      for (let times = 0; times < 2; times++) {
        assert.equal((await resizeVbd(fixture, vbd)).bytes, BigInt(2 * MIB));
        assert.equal(sizeOf(loop), 2 * MIB);
      }
      assert.equal((await fixture.attach(vbd)).already, true);
    }),
  );

  it(
    'leaves a layer as it is where its file has a part of a block now',
    withMapper({}, async (fixture) => {
      const image = fixture.image('x', { size: MIB });
      const vbd = await fixture.vbd(`path=${image},layer=crypt,block-size=4096`);
      await fixture.attach(vbd);
      const { kernelPath } = only(await layers());
      for (const size of [MIB + 512, 0]) {
        truncateSync(image, size);
        const error = await failure('EWINDOW', resizeVbd(fixture, vbd));
        assert.match(error.message, new RegExp(`has ${size} bytes now.* 4096 bytes`));
        assert.equal(sizeOf(kernelPath), MIB);
      }
      truncateSync(image, MIB);
      assert.equal((await resizeVbd(fixture, vbd)).bytes, BigInt(MIB));
    }),
  );

  it(
    'is not needed for an attach that goes on: a disk that grows meanwhile is the same disk',
    withMapper({}, async (fixture, bench) => {
      const disk = await bench.disk('x', { size: 2 * MIB });
      const mapped = await bench.mapped('bench-growing', `0 1024 linear ${disk.path} 0`);
      const vbd = await fixture.vbd(mapped.path);
      await fixture.attach(vbd, {
        onStep: (step) => {
          if (step !== 'opened') return;
          const table = `0 2048 linear ${disk.path} 0`;
          execFileSync('dmsetup', ['load', mapped.name, '--table', table]);
          execFileSync('dmsetup', ['resume', mapped.name], {
            env: { ...process.env, DM_DISABLE_UDEV: '1' },
          });
        },
      });
      assert.equal((await fixture.logged(vbd, 'opened')).size, MIB);
    }),
  );

  it(
    'says that there is no disk where blkback has none open',
    withMapper({}, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const error = await failure('ENOTOPEN', resizeVbd(fixture, vbd));
      assert.match(error.message, /no device open/);
    }),
  );
});
