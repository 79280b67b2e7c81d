import assert from 'node:assert/strict';
import { basename } from 'node:path';
import { only } from '../../bed/assertions.js';
import { attachLoop, diskseqOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { setFrontendState, waitState } from '../../bed/toolstack.js';
import { addPartition } from './altered-disks.js';
import { MARKER, on } from './fixture.js';
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
        on({ guise }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const { status, stdout, stderr } = await fixture.script(vbd, 'add');
          assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
          const opened = await fixture.logged(vbd, 'opened');
          assert.deepEqual(
            [opened.bytes, opened.size, opened.readOnly, opened.mode],
            [MARKER, MIB, 0, 'w'],
          );
          await fixture.assertConnected(vbd, only(fixture.loops()));
          assert.deepEqual(fixture.records(), []);
        }),
      );

      it(
        'the script adds a block device, which stays when the guest is gone',
        on({ guise }, async (fixture) => {
          await using loop = await attachLoop(fixture.image());
          const vbd = await fixture.vbd(loop.path);
          assert.equal((await fixture.script(vbd, 'add')).status, 0);
          await fixture.assertConnected(vbd, loop.path, loop.diskseq);
          assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
          await fixture.close(vbd);
          assert.equal((await fixture.script(vbd, 'remove')).status, 0);
          fixture.assertNothingLeft(loop);
        }),
      );

      it(
        `learns that the device is open from ${guise === 'stock' ? 'sysfs' : 'the node opened'}`,
        on({ guise, delayMs: 120 }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const steps: string[] = [];
          const result = await fixture.attach(vbd, { onStep: (step) => void steps.push(step) });
          assert.equal(result.openedBy, guise === 'stock' ? 'sysfs' : 'key');
          assert.equal(result.already, false);
          assert.equal(fixture.events(vbd, 'opened').length, 1, 'it returned before the open');
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
        on({ guise }, async (fixture) => {
          await using loop = await attachLoop(fixture.image('a disk'), { readOnly: true });
          for (const [params, marker] of [
            [fixture.image('a file'), 'a file'],
            [loop.path, 'a disk'],
          ] as const) {
            const vbd = await fixture.vbd(params, { mode: 'r' });
            await fixture.attach(vbd);
            const { bytes, mode, readOnly } = await fixture.logged(vbd, 'opened');
            assert.deepEqual([bytes, mode, readOnly], [marker, 'r', 1]);
            await fixture.close(vbd);
            await fixture.detach(vbd);
          }
        }),
      );

      it(
        'adds twice: the second time it says that it was attached already',
        on({ guise }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const first = await fixture.attach(vbd);
          const nodes = await fixture.directory(vbd);
          const second = await fixture.attach(vbd);
          assert.deepEqual([first.already, second.already], [false, true]);
          assert.deepEqual(second.publication, first.publication);
          assert.equal((await fixture.script(vbd, 'add')).status, 0);
          assert.deepEqual(await fixture.directory(vbd), nodes);
          assert.equal(fixture.events(vbd, 'opened').length, 1);
          only(fixture.loops());
        }),
      );

      it(
        'finishes what a killed add has published, before blkback has opened it',
        on({ guise, hold: true }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const first = fixture.attach(vbd);
          await fixture.logged(vbd, 'physical-device');
          const second = fixture.attach(vbd, {
            onStep: (step) => step === 'opened' && fixture.blkback.kill('SIGUSR1'),
          });
          assert.equal((await second).already, true);
          assert.equal((await first).already, false);
          await fixture.assertConnected(vbd, only(fixture.loops()));
        }),
      );

      it(
        "removes a predecessor's error and does not take it for an answer",
        on({ guise, delayMs: 50 }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image(), {
            extra: { 'hotplug-error': 'old', 'hotplug-status': 'error' },
          });
          await fixture.store.write(vbd.errorPath, '2 creating vbd structure');
          await fixture.attach(vbd);
          assert.equal(await fixture.exists(vbd.errorPath), false);
          await fixture.assertConnected(vbd, only(fixture.loops()));
        }),
      );

      it(
        'waits for a blkback that is late to be ready',
        on({ guise, noProbe: true }, async (fixture) => {
          const vbd = await fixture.create(fixture.image());
          let ready: Promise<unknown> | undefined;
          await fixture.attach(vbd, {
            onStep: (step) => {
              if (step === 'planned') ready = fixture.bed.restartBlkback({ guise });
            },
          });
          await ready;
          await fixture.assertConnected(vbd, only(fixture.loops()));
        }),
      );

      it(
        'takes an absolute XENBUS_PATH',
        on({ guise }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const path = `/local/domain/0/${vbd.backendPath}`;
          const { status, stderr } = await fixture.script(path, 'add');
          assert.deepEqual([status, stderr], [0, '']);
          await fixture.assertConnected(vbd, only(fixture.loops()));
          await fixture.close(vbd);
          assert.equal((await fixture.script(path, 'remove')).status, 0);
          fixture.assertNothingLeft();
        }),
      );

      it(
        'attaches several disks of a guest at once',
        on({ guise, delayMs: 20, randomDelay: true }, async (fixture) => {
          const vbds = await Promise.all(
            Array.from({ length: 8 }, (_, i) => fixture.vbd(fixture.image(`disk ${i}`))),
          );
          await Promise.all(vbds.map((vbd) => fixture.attach(vbd)));
          for (const [i, vbd] of vbds.entries()) {
            assert.equal((await fixture.logged(vbd, 'opened')).bytes, `disk ${i}`);
          }
        }),
      );
    });
  }

  it(
    'makes udev look at a disk and its partitions on demand only, and not before blkback has closed it',
    on({ closeDelayMs: 100 }, async (fixture) => {
      await using uevents = await Uevents.listen();
      await using loop = await attachLoop(fixture.image(MARKER, { size: 4 * MIB }), {
        partscan: true,
      });
      addPartition(loop.path, 1, 2048, 1024);
      addPartition(loop.path, 2, 4096, 1024);
      const names = ['', 'p1', 'p2'].map((suffix) => `${basename(loop.path)}${suffix}`);
      for (const params of [loop.path, `${loop.path}p2`]) {
        const vbd = await fixture.vbd(params);
        uevents.forget();
        await fixture.attach(vbd);
        await fixture.close(vbd);
        await fixture.detach(vbd);
        await fixture.delete(vbd);
        const asked = await fixture.vbd(params);
        await fixture.attach(asked);
        await fixture.close(asked);
        await fixture.detach(asked, { udevRefresh: true });
        const closed = await fixture.logged(asked, 'closed');
        assert.ok(closed.time <= Date.now() + 1);
        for (const name of names) await uevents.change(name);
        // Events come in order, so an event that was sent unasked would have come before.
        assert.deepEqual(
          names.flatMap((name) => uevents.changesOf(name)),
          [],
        );
        await fixture.delete(asked);
      }
    }),
  );

  it(
    'does not make udev look at a disk that blkback still has open',
    on({}, async (fixture) => {
      await using uevents = await Uevents.listen();
      await using loop = await attachLoop(fixture.image(MARKER));
      const vbd = await fixture.vbd(loop.path);
      await fixture.attach(vbd);
      // blkback ignores a guest that has closed its end, until the nodes go.
      for (const state of [4, 6] as const) {
        await setFrontendState(fixture.store, vbd, state);
        await waitState(fixture.store, vbd, String(state));
      }
      await fixture.store.write(`${vbd.backendPath}/online`, '0');
      // Events come in order, so all events before those of another device have come.
      await using first = await attachLoop(fixture.image());
      await uevents.change(basename(first.path));
      uevents.forget();
      await fixture.detach(vbd, { udevRefresh: true });
      assert.deepEqual(fixture.events(vbd, 'closed'), []);
      await using next = await attachLoop(fixture.image());
      await uevents.change(basename(next.path));
      assert.deepEqual(uevents.changesOf(basename(loop.path)), []);
      await fixture.delete(vbd);
    }),
  );

  it(
    'does not make udev look at a disk of which another guest has a partition, nor at that partition',
    on({}, async (fixture) => {
      await using uevents = await Uevents.listen();
      await using loop = await attachLoop(fixture.image(MARKER, { size: 4 * MIB }), {
        partscan: true,
      });
      addPartition(loop.path, 1, 2048, 1024);
      addPartition(loop.path, 2, 4096, 1024);
      const [disk = '', mine = '', theirs = ''] = ['', 'p1', 'p2'].map(
        (suffix) => `${basename(loop.path)}${suffix}`,
      );
      const [vbd, other] = [
        await fixture.vbd(`/dev/${mine}`),
        await fixture.vbd(`/dev/${theirs}`, { frontend: 8 }),
      ];
      await fixture.attach(vbd);
      await fixture.attach(other);
      await fixture.close(vbd);
      uevents.forget();
      await fixture.detach(vbd, { udevRefresh: true });
      await uevents.change(mine);
      await using next = await attachLoop(fixture.image());
      await uevents.change(basename(next.path));
      assert.deepEqual([...uevents.changesOf(disk), ...uevents.changesOf(theirs)], []);
      await fixture.delete(vbd);
      await fixture.delete(other);
    }),
  );

  it(
    'gives no guest a loop device whose number another one has open, although the kernel calls it free',
    on({ guise: 'stock' }, async (fixture) => {
      const loop = await attachLoop(fixture.image());
      await loop.detach();
      // An add that was killed after its publication leaves this: blkback has opened an empty disk.
      const empty = await fixture.vbd(fixture.image(), {
        extra: { 'physical-device': loop.devnum },
      });
      assert.equal((await fixture.logged(empty, 'opened')).size, 0);
      for (let left = 3; left > 0; left--) {
        const vbd = await fixture.vbd(fixture.image());
        await fixture.attach(vbd);
        assert.notEqual((await fixture.logged(vbd, 'opened')).dev, loop.devnum);
      }
    }),
  );

  describe('speaks the inline dialect', () => {
    it(
      'with a diskseq blkback',
      on({ guise: 'diskseq' }, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        const { status, stderr } = await fixture.script(vbd, 'add', { XEN_BLKBACK_UAPI: 'inline' });
        assert.deepEqual([status, stderr], [0, '']);
        const loop = only(fixture.loops());
        const { dev, diskseq, bytes } = await fixture.logged(vbd, 'opened');
        assert.deepEqual([diskseq, bytes], [diskseqOf(loop), MARKER]);
        const hex = BigInt(diskseqOf(loop)).toString(16);
        assert.deepEqual(await fixture.nodes(vbd, 'physical-device', 'hotplug-status'), [
          `${hex}@${dev}`,
          'connected',
        ]);
        assert.equal((await fixture.attach(vbd, { uapi: 'inline' })).already, true);
        await fixture.close(vbd);
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );

    it(
      'which a stock blkback refuses: it says so at once and takes the device back',
      on({ guise: 'stock' }, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        const { status, stderr, milliseconds } = await fixture.script(vbd, 'add', {
          XEN_BLKBACK_UAPI: 'inline',
        });
        assert.equal(status, 1);
        assert.match(stderr, /^xen-blkback: [^\n]*-1 reading physical-device[^\n]*\n$/);
        assert.ok(milliseconds < 5000, `${milliseconds} ms`);
        const message = (await fixture.node(vbd, 'hotplug-error')) ?? '';
        assert.ok(stderr.endsWith(`${message}\n`), stderr);
        await fixture.assertTakenBack(vbd, { message });
      }),
    );
  });
});
