import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { BlkbackError } from '../../../src/errors.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { setFrontendState, waitState } from '../../bed/toolstack.js';
import { beforeWriting, diskseqOf, failure, MARKER, on, only, sysfsAttribute } from './stage.js';
import { Uevents } from './uevents.js';

const MIB = 1024 * 1024;
const GUISES = ['stock', 'diskseq'] as const;

describe('attach', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    describe(`to a ${guise} blkback`, () => {
      it(
        'the script adds a file: blkback has the right disk, the nodes say so, nothing is printed',
        on({ guise }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const { status, stdout, stderr } = await stage.script(vbd, 'add');
          assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
          const opened = await stage.logged(vbd, 'opened');
          assert.deepEqual(
            [opened.bytes, opened.size, opened.readOnly, opened.mode],
            [MARKER, MIB, 0, 'w'],
          );
          await stage.assertConnected(vbd, only(stage.loops()));
          assert.deepEqual(stage.records(), []);
        }),
      );

      it(
        'the script adds a block device, which stays when the guest is gone',
        on({ guise }, async (stage) => {
          await using loop = await attachLoop(stage.image());
          const vbd = await stage.vbd(loop.path);
          assert.equal((await stage.script(vbd, 'add')).status, 0);
          await stage.assertConnected(vbd, loop.path, loop.diskseq);
          assert.equal((await stage.logged(vbd, 'opened')).bytes, MARKER);
          await stage.close(vbd);
          assert.equal((await stage.script(vbd, 'remove')).status, 0);
          stage.assertNothingLeft(loop);
        }),
      );

      it(
        `learns that the device is open from ${guise === 'stock' ? 'sysfs' : 'the node opened'}`,
        on({ guise, delayMs: 120 }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const steps: string[] = [];
          const result = await stage.attach(vbd, { onStep: (step) => void steps.push(step) });
          assert.equal(result.openedBy, guise === 'stock' ? 'sysfs' : 'key');
          assert.equal(result.already, false);
          assert.equal(stage.events(vbd, 'opened').length, 1, 'it returned before the open');
          assert.deepEqual(steps, [
            'planned',
            'ready',
            'opened',
            'published',
            'connected',
            'released',
          ]);
        }),
      );

      it(
        'adds a file and a disk for reading only',
        on({ guise }, async (stage) => {
          await using loop = await attachLoop(stage.image('a disk'), { readOnly: true });
          for (const [params, marker] of [
            [stage.image('a file'), 'a file'],
            [loop.path, 'a disk'],
          ] as const) {
            const vbd = await stage.vbd(params, { mode: 'r' });
            await stage.attach(vbd);
            const { bytes, mode, readOnly } = await stage.logged(vbd, 'opened');
            assert.deepEqual([bytes, mode, readOnly], [marker, 'r', 1]);
            await stage.close(vbd);
            await stage.detach(vbd);
          }
        }),
      );

      it(
        'adds twice: the second time it says that it was attached already',
        on({ guise }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const first = await stage.attach(vbd);
          const nodes = await stage.directory(vbd);
          const second = await stage.attach(vbd);
          assert.deepEqual([first.already, second.already], [false, true]);
          assert.deepEqual(second.publication, first.publication);
          assert.equal((await stage.script(vbd, 'add')).status, 0);
          assert.deepEqual(await stage.directory(vbd), nodes);
          assert.equal(stage.events(vbd, 'opened').length, 1);
          only(stage.loops());
        }),
      );

      it(
        'finishes what a killed add has published, before blkback has opened it',
        on({ guise, hold: true }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const first = stage.attach(vbd);
          await stage.logged(vbd, 'physical-device');
          const second = stage.attach(vbd, {
            onStep: (step) => step === 'opened' && stage.blkback.kill('SIGUSR1'),
          });
          assert.equal((await second).already, true);
          assert.equal((await first).already, false);
          await stage.assertConnected(vbd, only(stage.loops()));
        }),
      );

      it(
        "removes a predecessor's error and does not take it for an answer",
        on({ guise, delayMs: 50 }, async (stage) => {
          const vbd = await stage.vbd(stage.image(), {
            extra: { 'hotplug-error': 'old', 'hotplug-status': 'error' },
          });
          await stage.store.write(vbd.errorPath, '2 creating vbd structure');
          await stage.attach(vbd);
          assert.equal(await stage.exists(vbd.errorPath), false);
          await stage.assertConnected(vbd, only(stage.loops()));
        }),
      );

      it(
        'waits for a blkback that is late to be ready',
        on({ guise, noProbe: true }, async (stage) => {
          const vbd = await stage.create(stage.image());
          let ready: Promise<unknown> | undefined;
          await stage.attach(vbd, {
            onStep: (step) => {
              if (step === 'planned') ready = stage.bed.restartBlkback({ guise });
            },
          });
          await ready;
          await stage.assertConnected(vbd, only(stage.loops()));
        }),
      );

      it(
        'takes an absolute XENBUS_PATH',
        on({ guise }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const path = `/local/domain/0/${vbd.backendPath}`;
          const { status, stderr } = await stage.script(path, 'add');
          assert.deepEqual([status, stderr], [0, '']);
          await stage.assertConnected(vbd, only(stage.loops()));
          await stage.close(vbd);
          assert.equal((await stage.script(path, 'remove')).status, 0);
          stage.assertNothingLeft();
        }),
      );

      it(
        'attaches several disks of a guest at once',
        on({ guise, delayMs: 20, randomDelay: true }, async (stage) => {
          const vbds = await Promise.all(
            Array.from({ length: 8 }, (_, i) => stage.vbd(stage.image(`disk ${i}`))),
          );
          await Promise.all(vbds.map((vbd) => stage.attach(vbd)));
          for (const [i, vbd] of vbds.entries()) {
            assert.equal((await stage.logged(vbd, 'opened')).bytes, `disk ${i}`);
          }
        }),
      );
    });
  }

  describe('finds', () => {
    it(
      'a path with a comma, and one with blanks and other letters',
      on({}, async (stage) => {
        const comma = await stage.vbd(
          `path=${stage.image('comma', { name: 'a,b.img' }).replace(',', '\\,')}`,
        );
        await stage.attach(comma);
        assert.equal((await stage.logged(comma, 'opened')).bytes, 'comma');
        const odd = await stage.vbd(stage.image('odd', { name: 'ä =\\,"x.img' }));
        assert.equal((await stage.script(odd, 'add')).status, 0);
        assert.equal((await stage.logged(odd, 'opened')).bytes, 'odd');
      }),
    );

    it(
      'the end of a chain of links, wherever the first link leads later',
      on({}, async (stage) => {
        const link = join(stage.bed.directory, 'link');
        symlinkSync(stage.image(), `${link}-2`);
        symlinkSync(`${link}-2`, link);
        const vbd = await stage.vbd(link);
        await stage.attach(vbd, {
          onStep: (step) => {
            if (step !== 'opened') return;
            symlinkSync(stage.image('the wrong disk'), `${link}-3`);
            renameSync(`${link}-3`, link);
          },
        });
        assert.equal((await stage.logged(vbd, 'opened')).bytes, MARKER);
      }),
    );

    for (const [name, write] of [
      ['its number in decimal', (diskseq: bigint) => `diskseq=${diskseq}`],
      ['its number in hex', (diskseq: bigint) => `diskseq=0x${diskseq.toString(16)}`],
      ["udev's link by number", (diskseq: bigint) => `/dev/disk/by-diskseq/${diskseq}`],
    ] as const) {
      it(
        `a disk by ${name}`,
        on({ guise: 'diskseq' }, async (stage) => {
          await using loop = await attachLoop(stage.image());
          const vbd = await stage.vbd(write(BigInt(loop.diskseq)));
          await stage.attach(vbd);
          await stage.assertConnected(vbd, loop.path, loop.diskseq);
          assert.equal((await stage.attach(vbd)).already, true);
          await stage.close(vbd);
          await stage.detach(vbd);
        }),
      );
    }

    it(
      'a disk by its path that has the number asked for',
      on({}, async (stage) => {
        await using loop = await attachLoop(stage.image());
        const vbd = await stage.vbd(`path=${loop.path},diskseq=${loop.diskseq}`);
        await stage.attach(vbd);
        await stage.assertConnected(vbd, loop.path, loop.diskseq);
        await stage.close(vbd);
        await stage.detach(vbd);
      }),
    );

    for (const guise of GUISES) {
      it(
        `a partition, by path and by the disk's number, for a ${guise} blkback`,
        on({ guise }, async (stage) => {
          const image = stage.image('the disk', { size: 4 * MIB });
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
            const vbd = await stage.vbd(params);
            await stage.attach(vbd);
            await stage.assertConnected(vbd, partition, loop.diskseq);
            const { bytes, size } = await stage.logged(vbd, 'opened');
            assert.deepEqual([bytes, size], ['the partition', MIB]);
            assert.equal((await stage.attach(vbd)).already, true);
            await stage.close(vbd);
            await stage.detach(vbd);
          }
        }),
      );
    }
  });

  describe('makes of a file', () => {
    it(
      'the part that offset and size give',
      on({ guise: 'diskseq' }, async (stage) => {
        const image = stage.image('the start', { size: 4 * MIB });
        writeAt(image, MIB + 512, 'the part');
        const vbd = await stage.vbd(`path=${image},offset=${MIB + 512},size=65536`);
        await stage.attach(vbd);
        const { bytes, size, sectorSize } = await stage.logged(vbd, 'opened');
        assert.deepEqual([bytes, size, sectorSize], ['the part', 65536, 512]);
        assert.equal((await stage.attach(vbd)).already, true);
      }),
    );

    it(
      'a disk of whole sectors where it ends in the middle of one',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image(MARKER, { size: 1300 }));
        await stage.attach(vbd);
        assert.equal((await stage.logged(vbd, 'opened')).size, 1024);
      }),
    );

    for (const blockSize of [512, 1024, 2048, 4096]) {
      it(
        `a disk with blocks of ${blockSize} bytes`,
        on({}, async (stage) => {
          const vbd = await stage.vbd(`path=${stage.image()},block-size=${blockSize}`);
          await stage.attach(vbd);
          const { sectorSize, bytes } = await stage.logged(vbd, 'opened');
          assert.deepEqual([sectorSize, bytes], [blockSize, MARKER]);
        }),
      );
    }

    it(
      'a disk with direct I/O, or none at all if that cannot be',
      on({}, async (stage) => {
        await using probe = await attachLoop(stage.image());
        execFileSync('losetup', ['--direct-io=on', probe.path], { stdio: 'ignore' });
        const possible = sysfsAttribute(probe.path, 'loop/dio') === '1';
        await probe.detach();
        const no = await stage.vbd(`path=${stage.image()},direct-io=no`);
        await stage.attach(no);
        assert.equal(sysfsAttribute(only(stage.loops()), 'loop/dio'), '0');
        await stage.delete(no);
        for (const word of ['auto', 'yes']) {
          const vbd = await stage.vbd(`path=${stage.image()},direct-io=${word}`);
          if (possible || word === 'auto') {
            await stage.attach(vbd);
            assert.equal(sysfsAttribute(only(stage.loops()), 'loop/dio'), possible ? '1' : '0');
          } else {
            await failure('EOPNOTSUPP', stage.attach(vbd));
            stage.assertNothingLeft();
          }
          await stage.delete(vbd);
        }
      }),
    );

    it(
      'a loop device that outlives its backend where autoclear is off',
      on({ guise: 'diskseq' }, async (stage) => {
        const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
        await stage.attach(vbd);
        const loop = only(stage.loops());
        const record = JSON.parse(
          readFileSync(join(stage.bed.runDirectory, only(stage.records())), 'utf8'),
        );
        assert.deepEqual(record, {
          backend: vbd.backendPath,
          device: sysfsAttribute(loop, 'dev'),
          diskseq: diskseqOf(loop),
          path: loop,
          unbind: true,
        });
        assert.equal((await stage.attach(vbd)).already, true);
        await stage.delete(vbd);
        assert.deepEqual(stage.loops(), [loop]);
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }),
    );

    it(
      'no loop device of a vbd that was there before under the same path, and never removed',
      on({ guise: 'diskseq' }, async (stage) => {
        const params = `path=${stage.image()},autoclear=no`;
        const vbd = await stage.vbd(params, { devid: 51712 });
        await stage.attach(vbd);
        await stage.delete(vbd);
        const left = only(stage.loops());
        const next = await stage.vbd(params, { devid: 51712 });
        await stage.attach(next);
        assert.equal(stage.loops().length, 1);
        assert.notEqual(only(stage.loops()), left);
        await stage.delete(next);
        await stage.detach(next);
        stage.assertNothingLeft();
      }),
    );
  });

  it(
    'makes udev look at a disk and its partitions on demand only, and not before blkback has closed it',
    on({ closeDelayMs: 100 }, async (stage) => {
      await using uevents = await Uevents.listen();
      await using loop = await attachLoop(stage.image(MARKER, { size: 4 * MIB }), {
        partscan: true,
      });
      addPartition(loop.path, 1, 2048, 1024);
      addPartition(loop.path, 2, 4096, 1024);
      const names = ['', 'p1', 'p2'].map((suffix) => `${basename(loop.path)}${suffix}`);
      for (const params of [loop.path, `${loop.path}p2`]) {
        const vbd = await stage.vbd(params);
        uevents.forget();
        await stage.attach(vbd);
        await stage.close(vbd);
        await stage.detach(vbd);
        await stage.delete(vbd);
        const asked = await stage.vbd(params);
        await stage.attach(asked);
        await stage.close(asked);
        await stage.detach(asked, { udevRefresh: true });
        const closed = await stage.logged(asked, 'closed');
        assert.ok(closed.time <= Date.now() + 1);
        for (const name of names) await uevents.change(name);
        // Events come in order: one that had been sent unasked would have come before.
        assert.deepEqual(
          names.flatMap((name) => uevents.changesOf(name)),
          [],
        );
        await stage.delete(asked);
      }
    }),
  );

  it(
    'does not make udev look at a disk that blkback still has open',
    on({}, async (stage) => {
      await using uevents = await Uevents.listen();
      await using loop = await attachLoop(stage.image(MARKER));
      const vbd = await stage.vbd(loop.path);
      await stage.attach(vbd);
      // blkback hears nothing more of a guest that has closed its end, until the nodes go.
      for (const state of [4, 6] as const) {
        await setFrontendState(stage.store, vbd, state);
        await waitState(stage.store, vbd, String(state));
      }
      await stage.store.write(`${vbd.backendPath}/online`, '0');
      // Events come in order: what comes before those of another device has happened before.
      await using first = await attachLoop(stage.image());
      await uevents.change(basename(first.path));
      uevents.forget();
      await stage.detach(vbd, { udevRefresh: true });
      assert.deepEqual(stage.events(vbd, 'closed'), []);
      await using next = await attachLoop(stage.image());
      await uevents.change(basename(next.path));
      assert.deepEqual(uevents.changesOf(basename(loop.path)), []);
      await stage.delete(vbd);
    }),
  );

  it(
    'gives no guest a loop device whose number another one has open, although the kernel calls it free',
    on({ guise: 'stock' }, async (stage) => {
      const loop = await attachLoop(stage.image());
      await loop.detach();
      // What an add leaves that was killed after its publication: blkback has opened an empty disk.
      const empty = await stage.vbd(stage.image(), { extra: { 'physical-device': loop.devnum } });
      assert.equal((await stage.logged(empty, 'opened')).size, 0);
      for (let left = 3; left > 0; left--) {
        const vbd = await stage.vbd(stage.image());
        await stage.attach(vbd);
        assert.notEqual((await stage.logged(vbd, 'opened')).dev, loop.devnum);
      }
    }),
  );

  describe('speaks the inline dialect', () => {
    it(
      'with a diskseq blkback',
      on({ guise: 'diskseq' }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const { status, stderr } = await stage.script(vbd, 'add', { XEN_BLKBACK_UAPI: 'inline' });
        assert.deepEqual([status, stderr], [0, '']);
        const loop = only(stage.loops());
        const { dev, diskseq, bytes } = await stage.logged(vbd, 'opened');
        assert.deepEqual([diskseq, bytes], [diskseqOf(loop), MARKER]);
        const hex = BigInt(diskseqOf(loop)).toString(16);
        assert.deepEqual(await stage.nodes(vbd, 'physical-device', 'hotplug-status'), [
          `${hex}@${dev}`,
          'connected',
        ]);
        assert.equal((await stage.attach(vbd, { uapi: 'inline' })).already, true);
        await stage.close(vbd);
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }),
    );

    it(
      'which a stock blkback refuses: it says so at once and takes the device back',
      on({ guise: 'stock' }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const { status, stderr, milliseconds } = await stage.script(vbd, 'add', {
          XEN_BLKBACK_UAPI: 'inline',
        });
        assert.equal(status, 1);
        assert.match(stderr, /^xen-blkback: [^\n]*-1 reading physical-device[^\n]*\n$/);
        assert.ok(milliseconds < 5000, `${milliseconds} ms`);
        const message = (await stage.node(vbd, 'hotplug-error')) ?? '';
        assert.ok(stderr.endsWith(`${message}\n`), stderr);
        await stage.assertTakenBack(vbd, { message });
      }),
    );
  });

  describe('fails when', () => {
    for (const guise of GUISES) {
      it(
        `a ${guise} blkback cannot open the device: the kernel's text is in hotplug-error`,
        on({ guise, failOpen: 16 }, async (stage) => {
          const vbd = await stage.vbd(stage.image());
          const error = await failure('EBLKBACK', stage.attach(vbd));
          assert.match(error.message, /2 creating vbd structure/);
          await stage.assertTakenBack(vbd, error);
        }),
      );
    }

    it(
      'a diskseq blkback finds another disk under the number',
      on({ guise: 'diskseq', hold: true }, async (stage) => {
        await using loop = await attachLoop(stage.image(), { readOnly: true });
        const vbd = await stage.vbd(loop.path, { mode: 'r' });
        const attempt = failure('EBLKBACK', stage.attach(vbd));
        await stage.logged(vbd, 'physical-device');
        exchangeBacking(loop.path, stage.image('the wrong disk'));
        stage.blkback.kill('SIGUSR1');
        const error = await attempt;
        assert.match(error.message, /19 creating vbd structure/);
        assert.equal(stage.events(vbd, 'refused').length, 1);
        assert.equal(stage.events(vbd, 'opened').length, 0);
        await stage.assertTakenBack(vbd, error, loop);
        exchanged(loop.path);
      }),
    );

    it(
      'a stock blkback has opened another content under the number: XenStore goes on saying what it has',
      on({ guise: 'stock', hold: true }, async (stage) => {
        await using loop = await attachLoop(stage.image(), { readOnly: true });
        const vbd = await stage.vbd(loop.path, { mode: 'r' });
        const attempt = failure('EIDENTITY', stage.attach(vbd));
        await stage.logged(vbd, 'physical-device');
        exchangeBacking(loop.path, stage.image('the wrong disk'));
        stage.blkback.kill('SIGUSR1');
        const error = await attempt;
        assert.match(error.message, /was changed while it was being attached/);
        assert.equal((await stage.logged(vbd, 'opened')).bytes, 'the wrong disk');
        await stage.assertKept(vbd, error, loop.path);
        await stage.delete(vbd);
        exchanged(loop.path);
      }),
    );

    it(
      'the run directory cannot be written: it says which, and no loop device stays for good',
      on({}, async (stage) => {
        const runDirectory = join(stage.bed.directory, 'no-directory');
        writeFileSync(runDirectory, '');
        const vbd = await stage.vbd(`path=${stage.image()},autoclear=no,sharing=allow`);
        const error = await failure('ERECORD', stage.attach(vbd, { runDirectory }));
        assert.ok(error instanceof BlkbackError, `${error.name}, for which --json says EINTERNAL`);
        assert.ok(error.message.includes(runDirectory), error.message);
        assert.deepEqual(await stage.nodes(vbd, 'physical-device', 'hotplug-status'), [
          undefined,
          'error',
        ]);
        await stage.delete(vbd);
        stage.assertNothingLeft();
      }),
    );

    it(
      'the backend was made anew meanwhile, for another disk: blkback never sees the first one',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image('an old disk'));
        const params = stage.image('a new disk');
        const store = beforeWriting(stage.store, 'physical-device', async () => {
          await stage.delete(vbd);
          const [frontend = 0, devid = 0] = vbd.key.split('/').map(Number);
          await stage.vbd(params, { frontend, devid });
        });
        const error = await failure('ESTATE', stage.attachThrough(store, vbd));
        assert.match(error.message, /params changed/);
        assert.deepEqual(stage.events(vbd, 'physical-device', 'opened', 'failed'), []);
        assert.equal(await stage.node(vbd, 'physical-device'), undefined);
        stage.assertNothingLeft();
      }),
    );

    it(
      'the backend goes before it can be called connected: a loop device without autoclear goes too',
      on({}, async (stage) => {
        const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
        const store = beforeWriting(stage.store, 'hotplug-status', () => stage.delete(vbd));
        await failure('EGONE', stage.attachThrough(store, vbd));
        assert.equal(await stage.exists(vbd.backendPath), false);
        stage.assertNothingLeft();
      }),
    );
  });
});

function writeAt(file: string, position: number, text: string): void {
  writeFileSync(
    file,
    Buffer.concat([readFileSync(file).subarray(0, position), Buffer.from(text)]),
    { flag: 'r+' },
  );
}

/** Sectors; the kernel needs no partition table for this. */
function addPartition(disk: string, number: number, start: number, length: number): void {
  execFileSync('addpart', [disk, number, start, length].map(String));
}

const LOOP_CHANGE_FD = 0x4c06;

/** Puts another file behind a read-only loop device, whoever has it open. */
function exchangeBacking(loop: string, file: string): void {
  const program = `
import fcntl, os, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), ${LOOP_CHANGE_FD}, os.open(sys.argv[2], os.O_RDONLY))
`;
  execFileSync('python3', ['-c', program, loop, file]);
}

/** The test's own loop device, whose number has changed on the way. */
function exchanged(loop: string): void {
  execFileSync('losetup', ['--detach', loop]);
}
