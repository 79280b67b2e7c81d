import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { type Bed, startBed } from '../../bed/bed.js';
import type { BlkbackBehaviour } from '../../bed/blkback.js';
import { type Daemon, runClient, startDaemon, startDaemonProgram } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { loopsLeft, loopsOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { CLI } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import {
  closeVbd,
  createVbd,
  deleteVbd,
  type Vbd,
  vbdOf,
  waitInitWait,
  waitNode,
} from '../../bed/toolstack.js';
import { startXenstoreProxy } from '../../bed/xenstore-proxy.js';
import { HotplugFixture } from '../hotplug/fixture.js';

const WITHOUT_NODE = { PATH: '/nonexistent' };

describe('scripts while the daemon is in trouble', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  async function withFixture(
    behaviour: BlkbackBehaviour,
    body: (fixture: HotplugFixture, bed: Bed) => Promise<void>,
  ): Promise<void> {
    await using bed = await startBed(behaviour);
    await using store = await openStore(bed);
    await body(new HotplugFixture(bed, store), bed);
  }

  const marked = (fixture: HotplugFixture, count: number): Promise<Vbd[]> =>
    Promise.all(
      Array.from({ length: count }, (_, i) => fixture.create(fixture.image(`disk ${i}`))),
    );

  it('are served though the nodes of one vbd cannot be read, and that is logged', () =>
    withFixture({}, async (fixture, bed) => {
      const [bad, good] = await marked(fixture, 2);
      assert.ok(bad && good);
      await using proxy = await startXenstoreProxy(bed, (path) =>
        path === `${bad.backendPath}/params` ? 'EIO' : undefined,
      );
      await using daemon = await startDaemonProgram(
        bed,
        process.execPath,
        [CLI, 'daemon'],
        proxy.env,
      );
      await daemon.says(
        /backend\/vbd\/\S+ is not served before its nodes change, because they cannot be read: XenStore read of \S+ failed: EIO$/,
      );
      assert.equal((await runClient(daemon.env, good, 'add')).status, 0);
      assert.equal(await fixture.node(good, 'hotplug-status'), 'connected');
      assert.equal(await fixture.node(bad, 'hotplug-status'), undefined);
    }));

  /**
   * Asserts that blkback has opened the disk of each vbd once, and that there are as many loop
   * devices as vbds.
   */
  async function requireAttached(fixture: HotplugFixture, vbds: readonly Vbd[]): Promise<void> {
    vbds.forEach((vbd, index) => {
      const opened = fixture.events(vbd, 'opened').map(({ bytes }) => bytes);
      assert.deepEqual(opened, [`disk ${index}`], vbd.key);
    });
    const connected = await Promise.all(vbds.map((vbd) => fixture.node(vbd, 'hotplug-status')));
    assert.deepEqual(new Set(connected), new Set(['connected']));
    await settlesAt(fixture, vbds.length);
  }

  /**
   * Waits until there are `count` loop devices. A second loop device that was made in vain goes at
   * once, but not in the same instant.
   */
  function settlesAt(fixture: HotplugFixture, count: number): Promise<void> {
    const found = () => loopsOf(fixture.bed.images);
    return within(
      5000,
      () => `${count} loop devices, not ${found()}`,
      async (signal) => {
        while (found().length !== count) await pause(5, signal);
      },
    );
  }

  it('do it themselves while it starts, and it leaves that alone', () =>
    withFixture({}, async (fixture, bed) => {
      const vbds = await marked(fixture, 6);
      const daemon = startDaemon(bed);
      const env = { ...bed.env, XEN_BLKBACK_SOCKET: join(bed.directory, 'control.sock') };
      const runs = vbds.map(async (vbd, index) => {
        await waitInitWait(fixture.store, vbd);
        await pause(index * 60);
        return await runClient(env, vbd, 'add');
      });
      for (const { status, stderr } of await Promise.all(runs)) assert.equal(status, 0, stderr);
      await using _daemon = await daemon;
      await requireAttached(fixture, vbds);
    }));

  it('get what was begun, or do it themselves, while it stops', () =>
    withFixture({ delayMs: 300 }, async (fixture, bed) => {
      await using daemon = await startDaemon(bed);
      const vbds = await marked(fixture, 12);
      const runs = vbds.map(async (vbd, index) => {
        await waitInitWait(fixture.store, vbd);
        await pause(index * 10);
        return await runClient(daemon.env, vbd, 'add');
      });
      await fixture.published(vbds[0] ?? assert.fail());
      daemon.kill('SIGTERM');
      for (const { status, stderr } of await Promise.all(runs)) assert.equal(status, 0, stderr);
      assert.equal(await daemon.child.ended, 'exited with status 0');
      await requireAttached(fixture, vbds);
    }));

  it('attach once although it hangs waiting for blkback, and goes on later', () =>
    withFixture({}, async (fixture, bed) => {
      await using daemon = await startDaemon(bed, '--verbose');
      // blkback is not ready yet, so the daemon waits for it.
      bed.blkback.kill('SIGSTOP');
      const vbds = await marked(fixture, 1);
      await daemon.says(/: planned: /);
      daemon.kill('SIGSTOP');
      bed.blkback.kill('SIGCONT');
      await attachWithHelpOf(fixture, daemon, vbds);
    }));

  it('attach once although it hangs with the device published, and goes on later', () =>
    withFixture({ hold: true }, async (fixture, bed) => {
      await using daemon = await startDaemon(bed);
      const vbds = await marked(fixture, 1);
      await fixture.published(vbds[0] ?? assert.fail());
      daemon.kill('SIGSTOP');
      await attachWithHelpOf(fixture, daemon, vbds, () => bed.blkback.kill('SIGUSR1'));
    }));

  /**
   * Runs a client, which gives the daemon four seconds and then does the work itself. Then the
   * daemon goes on.
   */
  async function attachWithHelpOf(
    fixture: HotplugFixture,
    daemon: Daemon,
    vbds: readonly Vbd[],
    open: () => void = () => undefined,
  ): Promise<void> {
    const [vbd = assert.fail()] = vbds;
    await waitInitWait(fixture.store, vbd);
    const run = runClient(daemon.env, vbd, 'add');
    await pause(4500);
    open();
    const { status, stderr } = await run;
    assert.equal(status, 0, stderr);
    daemon.kill('SIGCONT');
    // The daemon has dealt with all earlier requests when it answers this one.
    const env = { ...daemon.env, ...WITHOUT_NODE };
    assert.equal((await runClient(env, vbd, 'add')).status, 0);
    await requireAttached(fixture, vbds);
  }

  it('are not undone by a request that it hears too late', () =>
    withFixture({}, async (fixture, bed) => {
      await using daemon = await startDaemon(bed);
      const [vbd = assert.fail()] = await marked(fixture, 1);
      assert.equal((await runClient(daemon.env, vbd, 'add')).status, 0);
      await closeVbd(fixture.store, vbd);
      daemon.kill('SIGSTOP');
      assert.equal((await runClient(daemon.env, vbd, 'remove')).status, 0);
      await fixture.delete(vbd);
      // The vbd has the same path and another script, so that the daemon does not prepare it
      // unasked.
      bed.blkback.kill('SIGSTOP');
      const [frontend = '', devid = ''] = vbd.key.split('/');
      const params = fixture.image('disk anew');
      const script = '/etc/xen/scripts/other';
      const again = { frontend: Number(frontend), devid: Number(devid), params, script };
      await createVbd(fixture.store, again);
      daemon.kill('SIGCONT');
      const [other = assert.fail()] = await marked(fixture, 1);
      bed.blkback.kill('SIGCONT');
      const env = { ...daemon.env, ...WITHOUT_NODE };
      assert.equal((await runClient(env, other, 'add')).status, 0);
      await fixture.attach(vbd);
      await pause(200);
      assert.equal(await fixture.node(vbd, 'hotplug-status'), 'connected');
      assert.equal(fixture.events(vbd, 'opened').at(-1)?.bytes, 'disk anew');
    }));

  for (const guise of ['stock', 'diskseq'] as const) {
    it(`attach a vbd that was made anew before ${guise} blkback opened the device of the one before`, () =>
      withFixture({ guise }, async (fixture, bed) => {
        await using daemon = await startDaemon(bed);
        const disk = { frontend: 90, devid: 51712 };
        const vbd = vbdOf(disk);
        await bed.blkback.hold('events', vbd.key);
        await createVbd(fixture.store, { ...disk, params: fixture.image() });
        await fixture.published(vbd);
        // The daemon sees the nodes of the vbd before no more, and blkback sees each change.
        daemon.kill('SIGSTOP');
        await deleteVbd(fixture.store, vbd);
        await createVbd(fixture.store, { ...disk, params: fixture.image('disk anew') });
        await bed.blkback.release('events', vbd.key);
        await waitInitWait(fixture.store, vbd);
        daemon.kill('SIGCONT');
        const env = { ...daemon.env, ...WITHOUT_NODE };
        const { status, stderr, milliseconds } = await runClient(env, vbd, 'add');
        assert.equal(status, 0, stderr);
        assert.ok(milliseconds < 5000, `it took ${milliseconds} ms`);
        assert.deepEqual(
          fixture.events(vbd, 'opened').map(({ bytes }) => bytes),
          ['disk anew'],
        );
      }));
  }

  it('fail in time when it hangs after it has accepted', () =>
    withFixture({ noOpen: true }, async (fixture, bed) => {
      await using daemon = await startDaemon(bed, '--timeout', '2');
      // The daemon does not prepare a vbd of this script unasked.
      const vbd = await fixture.vbd(fixture.image(), { script: 'another' });
      const start = performance.now();
      const run = runClient(daemon.env, vbd, 'add');
      await fixture.published(vbd);
      daemon.kill('SIGSTOP');
      const { status, stderr } = await run;
      assert.equal(status, 1);
      assert.match(stderr, /the daemon does not answer/);
      assert.ok(performance.now() - start < 6000);
      daemon.kill('SIGCONT');
      await fixture.delete(vbd);
    }));

  for (const [what, answer] of [
    ['is of another version', 'unsupported 2\n'],
    ['talks nonsense', '\0\xff garbage'],
    ['hangs up', ''],
  ] as const) {
    it(`do it themselves when it ${what}`, () =>
      withFixture({}, async (fixture, bed) => {
        const path = join(bed.directory, 'other.sock');
        const asked: string[] = [];
        const server = createServer((socket) => {
          socket.on('error', () => undefined);
          socket.once('data', (data) => {
            asked.push(data.toString());
            socket.end(answer, 'latin1');
          });
        });
        await new Promise<void>((resolve) => server.listen(path, resolve));
        const vbds = await marked(fixture, 1);
        const [vbd = assert.fail()] = vbds;
        await waitInitWait(fixture.store, vbd);
        const run = await runClient({ ...bed.env, XEN_BLKBACK_SOCKET: path }, vbd, 'add');
        server.close();
        rmSync(path, { force: true });
        assert.equal(run.status, 0, run.stderr);
        assert.deepEqual(asked, [`xen-blkback 1 add ${vbd.backendPath}\n`]);
        await requireAttached(fixture, vbds);
      }));
  }

  it('are served again after xenstored was killed in the middle of the work', () =>
    withFixture({ delayMs: 150, randomDelay: true }, async (fixture, bed) => {
      await using daemon = await startDaemon(bed);
      const env = { ...daemon.env, ...WITHOUT_NODE };
      const doomed = await marked(fixture, 20);
      const running = doomed.map((vbd) => runClient(env, vbd, 'add'));
      await fixture.published(doomed[0] ?? assert.fail());
      bed.xenstored.kill('SIGKILL');
      // Each script reports its result, whatever the result is, and does so soon.
      const start = performance.now();
      const runs = await Promise.all(running);
      assert.ok(performance.now() - start < 10_000);
      assert.ok(runs.every(({ status }) => status === 0 || status === 1));
      await daemon.says(/connecting again/);
      await bed.xenstored.restart();
      await bed.restartBlkback();
      await daemon.says(/: ready/, 2);
      await using store = await openStore(bed);
      const anew = new HotplugFixture(bed, store);
      assert.deepEqual(await loopsLeft(bed.images), []);
      const vbds = await marked(anew, 20);
      const laps = await Promise.all(vbds.map((vbd) => runClient(env, vbd, 'add')));
      for (const { status, stderr } of laps) assert.equal(status, 0, stderr);
      await requireAttached(anew, vbds);
      await waitNode(store, `${vbds[0]?.backendPath}/state`, '2');
    }));
});
