import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { failure, only } from '../../bed/assertions.js';
import { attachLoop, diskseqOf, sysfsAttribute } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { addPartition, writeAt } from './altered-disks.js';
import { MARKER, on } from './fixture.js';

const MIB = 1024 * 1024;
const GUISES = ['stock', 'diskseq'] as const;

describe('attach', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('finds', () => {
    it(
      'a path with a comma, and one with blanks and other letters',
      on({}, async (fixture) => {
        const comma = await fixture.vbd(
          `path=${fixture.image('comma', { name: 'a,b.img' }).replace(',', '\\,')}`,
        );
        await fixture.attach(comma);
        assert.equal((await fixture.logged(comma, 'opened')).bytes, 'comma');
        const odd = await fixture.vbd(fixture.image('odd', { name: 'ä =\\,"x.img' }));
        assert.equal((await fixture.script(odd, 'add')).status, 0);
        assert.equal((await fixture.logged(odd, 'opened')).bytes, 'odd');
      }),
    );

    it(
      'the end of a chain of links, wherever the first link leads later',
      on({}, async (fixture) => {
        const link = join(fixture.bed.directory, 'link');
        symlinkSync(fixture.image(), `${link}-2`);
        symlinkSync(`${link}-2`, link);
        const vbd = await fixture.vbd(link);
        await fixture.attach(vbd, {
          onStep: (step) => {
            if (step !== 'opened') return;
            symlinkSync(fixture.image('the wrong disk'), `${link}-3`);
            renameSync(`${link}-3`, link);
          },
        });
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      }),
    );

    for (const [name, write] of [
      ['its number in decimal', (diskseq: bigint) => `diskseq=${diskseq}`],
      ['its number in hex', (diskseq: bigint) => `diskseq=0x${diskseq.toString(16)}`],
      ["udev's link by number", (diskseq: bigint) => `/dev/disk/by-diskseq/${diskseq}`],
    ] as const) {
      it(
        `a disk by ${name}`,
        on({ guise: 'diskseq' }, async (fixture) => {
          await using loop = await attachLoop(fixture.image());
          const vbd = await fixture.vbd(write(BigInt(loop.diskseq)));
          await fixture.attach(vbd);
          await fixture.assertConnected(vbd, loop.path, loop.diskseq);
          assert.equal((await fixture.attach(vbd)).already, true);
          await fixture.close(vbd);
          await fixture.detach(vbd);
        }),
      );
    }

    it(
      'a disk by its path that has the number asked for',
      on({}, async (fixture) => {
        await using loop = await attachLoop(fixture.image());
        const vbd = await fixture.vbd(`path=${loop.path},diskseq=${loop.diskseq}`);
        await fixture.attach(vbd);
        await fixture.assertConnected(vbd, loop.path, loop.diskseq);
        await fixture.close(vbd);
        await fixture.detach(vbd);
      }),
    );

    for (const guise of GUISES) {
      it(
        `a partition, by path and by the disk's number, for a ${guise} blkback`,
        on({ guise }, async (fixture) => {
          const image = fixture.image('the disk', { size: 4 * MIB });
          writeAt(image, MIB, 'the partition');
          await using loop = await attachLoop(image, { partscan: true });
          addPartition(loop.path, 1, 2048, 2048);
          const partition = `${loop.path}p1`;
          for (const params of [
            partition,
            `path=${partition},diskseq=${loop.diskseq}`,
            `diskseq=${loop.diskseq},partition=1`,
            `/dev/disk/by-diskseq/${loop.diskseq}-part1`,
          ]) {
            const vbd = await fixture.vbd(params);
            await fixture.attach(vbd);
            await fixture.assertConnected(vbd, partition, loop.diskseq);
            const { bytes, size } = await fixture.logged(vbd, 'opened');
            assert.deepEqual([bytes, size], ['the partition', MIB]);
            assert.equal((await fixture.attach(vbd)).already, true);
            await fixture.close(vbd);
            await fixture.detach(vbd);
          }
        }),
      );
    }
  });

  describe('makes of a file', () => {
    it(
      'the part that offset and size give',
      on({ guise: 'diskseq' }, async (fixture) => {
        const image = fixture.image('the start', { size: 4 * MIB });
        writeAt(image, MIB + 512, 'the part');
        const vbd = await fixture.vbd(`path=${image},offset=${MIB + 512},size=65536`);
        await fixture.attach(vbd);
        const { bytes, size, sectorSize } = await fixture.logged(vbd, 'opened');
        assert.deepEqual([bytes, size, sectorSize], ['the part', 65536, 512]);
        assert.equal((await fixture.attach(vbd)).already, true);
      }),
    );

    it(
      'a disk of whole sectors where it ends in the middle of one',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image(MARKER, { size: 1300 }));
        await fixture.attach(vbd);
        assert.equal((await fixture.logged(vbd, 'opened')).size, 1024);
      }),
    );

    for (const blockSize of [512, 1024, 2048, 4096]) {
      it(
        `a disk with blocks of ${blockSize} bytes`,
        on({}, async (fixture) => {
          const vbd = await fixture.vbd(`path=${fixture.image()},block-size=${blockSize}`);
          await fixture.attach(vbd);
          const { sectorSize, bytes } = await fixture.logged(vbd, 'opened');
          assert.deepEqual([sectorSize, bytes], [blockSize, MARKER]);
        }),
      );
    }

    it(
      'a disk with direct I/O, or none at all if that cannot be',
      on({}, async (fixture) => {
        await using probe = await attachLoop(fixture.image());
        execFileSync('losetup', ['--direct-io=on', probe.path], { stdio: 'ignore' });
        const possible = sysfsAttribute(probe.path, 'loop/dio') === '1';
        await probe.detach();
        const no = await fixture.vbd(`path=${fixture.image()},direct-io=no`);
        await fixture.attach(no);
        assert.equal(sysfsAttribute(only(fixture.loops()), 'loop/dio'), '0');
        await fixture.delete(no);
        for (const word of ['auto', 'yes']) {
          const vbd = await fixture.vbd(`path=${fixture.image()},direct-io=${word}`);
          if (possible || word === 'auto') {
            await fixture.attach(vbd);
            assert.equal(sysfsAttribute(only(fixture.loops()), 'loop/dio'), possible ? '1' : '0');
          } else {
            await failure('EOPNOTSUPP', fixture.attach(vbd));
            fixture.assertNothingLeft();
          }
          await fixture.delete(vbd);
        }
      }),
    );

    it(
      'a loop device that outlives its backend where autoclear is off',
      on({ guise: 'diskseq' }, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
        await fixture.attach(vbd);
        const loop = only(fixture.loops());
        const { writer, ...record } = JSON.parse(
          readFileSync(join(fixture.bed.runDirectory, only(fixture.records())), 'utf8'),
        );
        assert.deepEqual(record, {
          backend: vbd.backendPath,
          device: sysfsAttribute(loop, 'dev'),
          diskseq: diskseqOf(loop),
          path: loop,
          unbind: true,
        });
        assert.match(writer, /^\d+\.\d+$/);
        assert.equal((await fixture.attach(vbd)).already, true);
        await fixture.delete(vbd);
        assert.deepEqual(fixture.loops(), [loop]);
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'no loop device of a vbd that was there before under the same path, and never removed',
      on({ guise: 'diskseq' }, async (fixture) => {
        const params = `path=${fixture.image()},autoclear=no`;
        const vbd = await fixture.vbd(params, { devid: 51712 });
        await fixture.attach(vbd);
        await fixture.delete(vbd);
        const left = only(fixture.loops());
        const next = await fixture.vbd(params, { devid: 51712 });
        await fixture.attach(next);
        assert.equal(fixture.loops().length, 1);
        assert.notEqual(only(fixture.loops()), left);
        await fixture.delete(next);
        await fixture.detach(next);
        fixture.assertNothingLeft();
      }),
    );
  });
});
