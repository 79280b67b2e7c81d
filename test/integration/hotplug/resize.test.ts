import assert from 'node:assert/strict';
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { only } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { type HotplugFixture, on } from './fixture.js';

const MIB = 1024 * 1024;

const bytesOf = (loop: string): number =>
  Number(readFileSync(`/sys/class/block/${loop.slice('/dev/'.length)}/size`, 'utf8')) * 512;

/** Runs `resize`, and expects a refusal that leaves the file and the disk as they are. */
async function refused(
  fixture: HotplugFixture,
  words: readonly string[],
  status: number,
  sentence: RegExp,
) {
  const before = fixture.loops().map((loop) => [loop, bytesOf(loop)]);
  const run = await fixture.cli(['resize', ...words]);
  assert.equal(run.status, status, `${run.stdout}${run.stderr}`);
  assert.match(run.stderr, sentence);
  assert.deepEqual(
    fixture.loops().map((loop) => [loop, bytesOf(loop)]),
    before,
  );
}

describe('resize with a size', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'makes the file larger, and smaller with --shrink only, and the disk with it',
    on({}, async (fixture) => {
      const image = fixture.image('x', { size: MIB });
      const vbd = await fixture.vbd(image);
      await fixture.attach(vbd);
      const loop = only(fixture.loops());
      const { status, stdout, stderr } = await fixture.cli(['resize', vbd.key, '2M', '--json']);
      assert.equal(status, 0, stderr);
      assert.equal(JSON.parse(stdout).bytes, String(2 * MIB));
      assert.deepEqual([statSync(image).size, bytesOf(loop)], [2 * MIB, 2 * MIB]);

      await refused(
        fixture,
        [vbd.key, '1M'],
        1,
        /has 2097152 bytes for the disk, and 1048576 are f/,
      );
      assert.equal(statSync(image).size, 2 * MIB);
      const shrunk = await fixture.cli(['resize', vbd.key, '1536K', '--shrink']);
      assert.equal(shrunk.status, 0, shrunk.stderr);
      assert.deepEqual([statSync(image).size, bytesOf(loop)], [1536 * 1024, 1536 * 1024]);
      // The disk has this size already.
      assert.equal((await fixture.cli(['resize', vbd.key, '1536K'])).status, 0);
      // A file that others have made larger is cut only if `--shrink` asks for it.
      truncateSync(image, 3 * MIB);
      await refused(fixture, [vbd.key, '2M'], 1, /--shrink cuts off what lies behind them/);
      assert.equal((await fixture.attach(vbd)).already, true);
    }),
  );

  it(
    'counts from the offset of the disk in its file, and in its blocks',
    on({}, async (fixture) => {
      const image = fixture.image('x', { size: MIB + 4096 });
      const vbd = await fixture.vbd(`path=${image},offset=4096,block-size=4096`);
      await fixture.attach(vbd);
      await refused(fixture, [vbd.key, '2097664'], 1, /not a multiple of the block size 4096/);
      const { status, stderr } = await fixture.cli(['resize', vbd.key, '2M']);
      assert.equal(status, 0, stderr);
      assert.deepEqual(
        [statSync(image).size, bytesOf(only(fixture.loops()))],
        [2 * MIB + 4096, 2 * MIB],
      );
    }),
  );

  it(
    'refuses while others use the file, and says who',
    on({}, async (fixture) => {
      const image = fixture.image('x', { size: MIB });
      const mine = await fixture.vbd(`path=${image},sharing=read-only`, { mode: 'r' });
      await fixture.attach(mine);
      const other = await fixture.vbd(`path=${image},sharing=read-only`, {
        mode: 'r',
        frontend: 8,
      });
      await fixture.attach(other);
      await refused(
        fixture,
        [mine.key, '2M'],
        3,
        /is attached read-only to domain 8 .*so it cannot be given another size \(detach it there first\)/,
      );
      assert.equal(statSync(image).size, MIB);
      await fixture.delete(other);
      await fixture.detach(other);
      {
        await using local = await attachLoop(image);
        const claim = openSync(local.path, constants.O_RDWR | constants.O_EXCL);
        await refused(fixture, [mine.key, '2M'], 3, new RegExp(`${local.path}.*another size`));
        closeSync(claim);
      }
      const { status, stderr } = await fixture.cli(['resize', mine.key, '2M']);
      assert.equal(status, 0, stderr);
      assert.equal(statSync(image).size, 2 * MIB);
    }),
  );

  it(
    'refuses a part of a file, a file that is another by now, and what is no file',
    on({}, async (fixture) => {
      const image = fixture.image('x', { size: 2 * MIB });
      const part = await fixture.vbd(`path=${image},size=${MIB}`);
      await fixture.attach(part);
      await refused(fixture, [part.key, '2M'], 1, /is a part of its file/);

      const moved = fixture.image('x', { size: MIB });
      const vbd = await fixture.vbd(moved);
      await fixture.attach(vbd);
      renameSync(moved, `${moved}.old`);
      writeFileSync(moved, Buffer.alloc(MIB));
      await refused(fixture, [vbd.key, '2M'], 1, /is not the file that the disk stands on/);
      assert.equal(statSync(moved).size, MIB);
      renameSync(`${moved}.old`, moved);

      await using loop = await attachLoop(fixture.image('x', { size: MIB }));
      const disk = await fixture.vbd(loop.path);
      await fixture.attach(disk);
      await refused(fixture, [disk.key, '2M'], 1, /stands on no file: .*lvextend/);
      await fixture.delete(disk);
      await fixture.detach(disk);
    }),
  );

  it(
    'wants a size that makes sense',
    on({}, async (fixture) => {
      await refused(fixture, ['7/51712', '10X'], 2, /bytes are needed, or K, M, G or T/);
      await refused(fixture, ['7/51712', '--shrink'], 2, /--shrink needs a size/);
      await refused(fixture, [], 2, /resize needs an argument/);
    }),
  );
});
