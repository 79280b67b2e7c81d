import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { sameDevnum } from '../../../src/linux/devnum.js';
import { listPendingOpens, markPendingOpen } from '../../../src/sharing/pending-opens.js';
import { scanDevnum } from '../../../src/vbd/scan-devnum.js';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd } from '../../bed/toolstack.js';
import { on, parse } from '../hotplug/fixture.js';

describe('A disk whose number a vbd names for a disk that had it before', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const [mode, sharing] of [
    ['r', 'deny'],
    ['r', 'read-only'],
    ['w', 'read-only'],
    ['r', 'allow'],
    ['w', 'allow'],
  ] as const) {
    it(
      `is refused to another guest, even if that vbd only reads (mode ${mode}, sharing=${sharing})`,
      on({}, async (fixture) => {
        await using disk = await attachLoop(fixture.image());
        const stale = await fixture.vbd(fixture.image(), { mode: 'r' });
        // An add was killed after its publication, and blkback is slow to open the device.
        await fixture.blkback.hold('open', stale.key);
        const nodes = { diskseq: '1', 'physical-device': disk.devnum };
        for (const [node, value] of Object.entries(nodes)) {
          await fixture.store.write(`${stale.backendPath}/${node}`, value);
        }
        const other = await fixture.vbd(disk.path, { frontend: 9, mode });
        const { message } = await failure('EBUSY', fixture.attach(other, { sharing }));
        assert.match(message, /names its number for a device that had it before/);
        await fixture.blkback.release('open', stale.key);
      }),
    );
  }

  it(
    'is refused also if blkback has failed to open an earlier disk of that vbd in between',
    on({}, async (fixture) => {
      await using disk = await attachLoop(fixture.image());
      const stale = await fixture.vbd(fixture.image());
      await fixture.blkback.hold('open', stale.key);
      // A remove has announced that blkback may still open the earlier disk.
      const earlier = { devnum: { major: 8, minor: 0 }, writable: true };
      await using _mark = await markPendingOpen(fixture.bed.runDirectory, parse(stale), earlier);
      await fixture.store.write(stale.errorPath, '2 creating vbd structure');
      const nodes = { diskseq: '1', 'physical-device': disk.devnum };
      for (const [node, value] of Object.entries(nodes)) {
        await fixture.store.write(`${stale.backendPath}/${node}`, value);
      }
      const other = await fixture.vbd(disk.path, { frontend: 9 });
      await failure('EBUSY', fixture.attach(other));
      await fixture.blkback.release('open', stale.key);
    }),
  );

  for (const [mode, sharing] of [
    ['r', 'deny'],
    ['r', 'read-only'],
    ['w', 'allow'],
  ] as const) {
    it(
      `is refused also after a remove has taken the number back (mode ${mode}, sharing=${sharing})`,
      on({}, async (fixture) => {
        const first = await attachLoop(fixture.image());
        const reader = await fixture.vbd(first.path, { mode: 'r' });
        await fixture.blkback.hold('open', reader.key);
        const killed = fixture.startScript(reader, 'add');
        await fixture.logged(reader, 'physical-device');
        killed.process.kill('SIGKILL');
        await killed.ended;
        await fixture.detach(reader);
        await first.detach();
        const { status } = spawnSync('losetup', [first.path, fixture.image('the disk of another')]);
        assert.equal(status, 0);
        const other = await fixture.vbd(first.path, { frontend: 9, mode });
        await failure('EBUSY', fixture.attach(other, { sharing }));
        await fixture.blkback.release('open', reader.key);
        // Once blkback has opened the wrong disk and has closed it again, the disk is free.
        await fixture.delete(reader);
        await fixture.attach(other, { sharing });
        await fixture.delete(other);
        spawnSync('losetup', ['--detach', first.path]);
      }),
    );
  }

  it(
    'is refused while a remove that takes the number back has announced the open',
    on({}, async (fixture) => {
      await using disk = await attachLoop(fixture.image());
      const stale = await fixture.vbd(fixture.image());
      await fixture.blkback.hold('open', stale.key);
      const nodes = { diskseq: '1', 'physical-device': disk.devnum };
      for (const [node, value] of Object.entries(nodes)) {
        await fixture.store.write(`${stale.backendPath}/${node}`, value);
      }
      const devnum = scanDevnum(disk.devnum);
      assert.ok(devnum);
      const announced = { devnum, writable: true };
      await using _mark = await markPendingOpen(fixture.bed.runDirectory, parse(stale), announced);
      const other = await fixture.vbd(disk.path, { frontend: 9, mode: 'r' });
      await failure('EBUSY', fixture.attach(other, { sharing: 'read-only' }));
      await fixture.blkback.release('open', stale.key);
    }),
  );
});

describe('A vbd for which blkback may open one of two devices', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const kind of ['disk', 'file'] as const) {
    it(
      `keeps others from the later ${kind} also when its add was killed and its nodes are gone`,
      on({}, async (fixture) => {
        const image = fixture.image();
        await using disk = kind === 'disk' ? await attachLoop(image) : undefined;
        const vbd = await fixture.vbd(disk?.path ?? image);
        await fixture.blkback.hold('open', vbd.key);
        // A remove has announced that blkback may still open the earlier disk.
        const earlier = { devnum: { major: 8, minor: 0 }, writable: true };
        await using _mark = await markPendingOpen(fixture.bed.runDirectory, parse(vbd), earlier);
        const killed = fixture.startScript(vbd, 'add');
        await fixture.logged(vbd, 'physical-device');
        const named = scanDevnum((await fixture.node(vbd, 'physical-device')) ?? '');
        assert.ok(named);
        killed.process.kill('SIGKILL');
        await killed.ended;
        await deleteVbd(fixture.store, vbd);
        if (disk === undefined) {
          const pending = await listPendingOpens(fixture.bed.runDirectory);
          assert.ok(pending.some(({ devnum }) => sameDevnum(devnum, named)));
        } else {
          const other = await fixture.vbd(disk.path, { frontend: 9 });
          await failure('EBUSY', fixture.attach(other));
        }
        await fixture.blkback.release('open', vbd.key);
        await fixture.logged(vbd, 'closed');
      }),
    );
  }
});
