import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { writeRecord } from '../../../src/vbd/record.js';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';
import { startBed } from '../../bed/bed.js';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { loopsLeft } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { closeVbd, createVbd, deleteVbd, waitInitWait, waitNode } from '../../bed/toolstack.js';
import { HotplugFixture, MARKER } from '../hotplug/fixture.js';
import { withDaemon } from './with-daemon.js';

/** The client cannot fall back without Node, so the daemon has done all work that is done. */
const WITHOUT_NODE = { PATH: '/nonexistent' };

describe('the daemon', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(`attaches and detaches for the compiled client, ${guise} blkback`, () =>
      withDaemon({ guise }, async (fixture, daemon, bed) => {
        const vbd = await fixture.vbd(fixture.image());
        const env = { ...daemon.env, ...WITHOUT_NODE };
        const added = await runClient(env, vbd, 'add');
        assert.deepEqual([added.status, added.stdout, added.stderr], [0, '', '']);
        const [opened, ...more] = fixture.events(vbd, 'opened');
        assert.ok(opened?.bytes?.startsWith(MARKER));
        assert.deepEqual(more, []);
        assert.equal((await runClient(env, vbd, 'add')).status, 0, 'a second time');
        await closeVbd(fixture.store, vbd);
        assert.equal((await runClient(env, vbd, 'remove')).status, 0);
        assert.deepEqual(await loopsLeft(bed.images), []);
      }));
  }

  it('prepares a vbd unasked if its script is ours, and no other', () =>
    withDaemon({}, async (fixture) => {
      const other = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/block' });
      const ours = await fixture.vbd(fixture.image());
      await waitNode(fixture.store, `${ours.backendPath}/hotplug-status`, 'connected');
      assert.equal(await fixture.node(other, 'physical-device'), undefined);
    }));

  it('prepares every vbd with --all', () =>
    withDaemon(
      {},
      async (fixture) => {
        const vbd = await fixture.vbd(fixture.image(), { omit: ['script'] });
        await waitNode(fixture.store, `${vbd.backendPath}/hotplug-status`, 'connected');
      },
      '--all',
    ));

  it('prints the failure through the client, and tries again when it is asked again', () =>
    withDaemon({}, async (fixture, daemon) => {
      const path = join(fixture.bed.images, 'late.img');
      const vbd = await fixture.vbd(path);
      const env = { ...daemon.env, ...WITHOUT_NODE };
      const failed = await runClient(env, vbd, 'add');
      assert.equal(failed.status, 1);
      assert.match(failed.stderr, /^xen-blkback: backend\/vbd\/7\/\d+: .*no such file[^\n]*\n$/);
      fixture.image(MARKER, { name: 'late.img' });
      assert.equal((await runClient(env, vbd, 'add')).status, 0);
      assert.equal(await fixture.node(vbd, 'hotplug-error'), undefined);
    }));

  it('attaches fifty at once, each exactly once', () =>
    withDaemon({}, async (fixture, daemon, bed) => {
      const env = { ...daemon.env, ...WITHOUT_NODE };
      const images = Array.from({ length: 50 }, (_, index) => fixture.image(`disk ${index}`));
      const vbds = await Promise.all(images.map((image) => fixture.create(image)));
      const runs = await Promise.all(
        vbds.map(async (vbd) => {
          await waitInitWait(fixture.store, vbd);
          return await runClient(env, vbd, 'add');
        }),
      );
      assert.deepEqual(
        new Set(runs.map(({ status, stderr }) => `${status}${stderr}`)),
        new Set(['0']),
      );
      vbds.forEach((vbd, index) => {
        const opened = fixture
          .events(vbd, 'opened')
          .map(({ bytes }) => bytes?.replaceAll('\0', ''));
        assert.deepEqual(opened, [`disk ${index}`]);
      });
      await Promise.all(vbds.map((vbd) => fixture.delete(vbd)));
      assert.deepEqual(await loopsLeft(bed.images), []);
    }));

  it('rolls back when the vbd goes away in the middle', () =>
    withDaemon({ noOpen: true }, async (fixture, _daemon, bed) => {
      const vbd = await fixture.vbd(fixture.image());
      await fixture.published(vbd);
      await fixture.delete(vbd);
      assert.deepEqual(await loopsLeft(bed.images), []);
      assert.equal(await fixture.exists(vbd.backendPath), false);
    }));

  it('ends in time at SIGTERM, and holds for blkback what was published until that is decided', () =>
    withDaemon({ noOpen: true }, async (fixture, daemon, bed) => {
      const vbd = await fixture.vbd(fixture.image());
      await fixture.published(vbd);
      const start = performance.now();
      daemon.kill('SIGTERM');
      assert.equal(await daemon.child.ended, 'exited with status 0');
      assert.ok(performance.now() - start < 10_000);
      assert.ok(!existsSync(daemon.socket));
      const [loop = ''] = fixture.loops();
      await fixture.assertKept(vbd, { message: 'the daemon is being stopped' }, loop);
      await deleteVbd(fixture.store, vbd);
      await fixture.logged(vbd, 'removed');
      assert.deepEqual(await loopsLeft(bed.images), []);
    }));

  it('takes stock: serves what waits, leaves what is attached, cleans up after what is gone', async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    const attached = await fixture.vbd(fixture.image());
    await fixture.attach(attached);
    const waiting = await fixture.vbd(fixture.image());
    const gone = parseVbdPath('backend/vbd/99/51712');
    assert.ok(gone);
    const record = {
      devnum: { major: 7, minor: 999 },
      diskseq: 1n,
      path: '/dev/loop999',
      unbind: true,
    };
    await writeRecord(bed.runDirectory, gone, record);
    await using _daemon = await startDaemon(bed);
    await waitNode(store, `${waiting.backendPath}/hotplug-status`, 'connected');
    await fixture.recordGone(gone);
    assert.equal(fixture.events(attached, 'opened').length, 1);
  });

  it('is not needed: stopped, hanging or of another version, the client does it itself', () =>
    withDaemon({}, async (fixture, daemon) => {
      const attach = async (env: Readonly<Record<string, string>>) => {
        // The daemon does not look for this script, so it must not prepare the vbd.
        const vbd = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/other' });
        const run = await runClient({ ...env, PATH: process.env.PATH }, vbd, 'add');
        assert.equal(run.status, 0, run.stderr);
        assert.equal(fixture.events(vbd, 'opened').length, 1);
      };
      daemon.kill('SIGSTOP');
      await attach(daemon.env);
      daemon.kill('SIGCONT');
      await attach({ ...daemon.env, XEN_BLKBACK_SOCKET: '/nonexistent/socket' });
      await daemon.stop();
      await attach(daemon.env);
    }));

  it('connects again after xenstored was killed, and serves on', () =>
    withDaemon({}, async (fixture, daemon, bed) => {
      await using _first = fixture.store;
      bed.xenstored.kill('SIGKILL');
      await bed.xenstored.restart();
      await bed.restartBlkback();
      await daemon.says(/: ready/, 2);
      await using store = await openStore(bed);
      const options = { frontend: 8, devid: 51712, params: fixture.image() };
      const vbd = await createVbd(store, options);
      await waitInitWait(store, vbd);
      const env = { ...daemon.env, ...WITHOUT_NODE };
      const run = await runClient(env, vbd, 'add');
      assert.equal(run.status, 0, `${run.stderr}${daemon.said()}`);
    }));

  it('opens no debugger to the users of this machine at SIGUSR1', () =>
    withDaemon({}, async (_fixture, daemon) => {
      daemon.kill('SIGUSR1');
      await daemon.says(/SIGUSR1|Debugger/);
      assert.match(daemon.said(), /: SIGUSR1: it has no effect here$/m);
      assert.doesNotMatch(daemon.said(), /Debugger listening/);
    }));

  it('refuses to start beside another one, which goes on', () =>
    withDaemon({}, async (fixture, daemon, bed) => {
      await assert.rejects(startDaemon(bed), /another daemon listens/);
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await runClient({ ...daemon.env, ...WITHOUT_NODE }, vbd, 'add')).status, 0);
      assert.equal(statSync(daemon.socket).mode & 0o777, 0o600);
    }));
});
