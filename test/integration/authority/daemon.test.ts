import assert from 'node:assert/strict';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { startChild, stopChild } from '../../bed/child.js';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { DatagramReceiver } from '../../bed/datagrams.js';
import { within } from '../../bed/deadline.js';
import { effort } from '../../bed/effort.js';
import { needs } from '../../bed/needs.js';
import { CLI } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import type { Vbd } from '../../bed/toolstack.js';
import { startXenstoreProxy } from '../../bed/xenstore-proxy.js';
import { HotplugFixture } from '../hotplug/fixture.js';
import { GUISES, type Guise } from './ground.js';

/** The client cannot fall back to the one-shot program without Node. */
const WITHOUT_NODE = { PATH: '/nonexistent' };

describe('The daemon, and which vbd it means', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  /**
   * Removes the vbd and makes it anew with equal values in one transaction, so that a reader sees
   * no difference.
   */
  async function makeAnew({ store }: HotplugFixture, vbd: Vbd): Promise<void> {
    const directories = [vbd.frontendPath, vbd.backendPath];
    const nodes = await Promise.all(
      directories.map(async (directory) => {
        const names = await store.directory(directory);
        const values = await store.readMany(names.map((name) => `${directory}/${name}`));
        return names.map((name, index) => ({
          op: 'write' as const,
          path: `${directory}/${name}`,
          value: values[index] ?? '',
        }));
      }),
    );
    await store.transact([
      ...directories.map((path) => ({ op: 'remove' as const, path })),
      ...nodes.flat(),
    ]);
  }

  for (const guise of GUISES) {
    it(`exports the new file where it had got the old one ready (${guise} blkback)`, async () => {
      await using bed = await startBed({ guise, noProbe: true });
      await using store = await openStore(bed);
      await using daemon = await startDaemon(bed, '--verbose');
      const fixture = new HotplugFixture(bed, store);
      const image = fixture.image('the old file');
      const vbd = await fixture.create(image);
      await daemon.says(/: planned: /);
      renameSync(fixture.image('the new file'), image);
      await makeAnew(fixture, vbd);
      await bed.restartBlkback({ guise });
      const run = await runClient({ ...daemon.env, ...WITHOUT_NODE }, vbd, 'add');
      assert.equal(run.status, 0, `${run.stderr}${daemon.said()}`);
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, 'the new file');
      await fixture.delete(vbd);
      fixture.assertNothingLeft();
    });

    it(`exports the new file where the old one was attached (${guise} blkback)`, async () => {
      await using bed = await startBed({ guise });
      await using store = await openStore(bed);
      await using daemon = await startDaemon(bed);
      const fixture = new HotplugFixture(bed, store);
      const image = fixture.image('the old file');
      const vbd = await fixture.vbd(image);
      const env = { ...daemon.env, ...WITHOUT_NODE };
      assert.equal((await runClient(env, vbd, 'add')).status, 0);
      const ours = ['physical-device', 'physical-device-path', 'diskseq', 'hotplug-status'];
      renameSync(fixture.image('the new file'), image);
      await store.transact([
        { op: 'remove', path: vbd.backendPath },
        { op: 'remove', path: vbd.frontendPath },
      ]);
      const again = await fixture.vbd(image, { devid: 51712 });
      const run = await runClient(env, again, 'add');
      assert.equal(run.status, 0, `${run.stderr}${daemon.said()}`);
      const { dev } = await bed.blkback.waitFor(({ bytes }) => bytes === 'the new file');
      assert.equal((await fixture.nodes(again, ...ours))[0], dev);
      await fixture.delete(again);
    });

    it(`tries again by itself, and connects only to what blkback has (${guise} blkback)`, () =>
      retries(guise));
  }

  /** Fails a first attempt after the open; then a client asks the daemon to try again. */
  async function retries(guise: Guise): Promise<void> {
    await using bed = await startBed({ guise });
    await using store = await openStore(bed);
    await using daemon = await startDaemon(bed);
    const fixture = new HotplugFixture(bed, store);
    const vbd = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/other' });
    const interrupt = new AbortController();
    const failed = fixture.attach(vbd, {
      signal: interrupt.signal,
      onStep: (step) => step === 'connected' && interrupt.abort(new Error('enough')),
    });
    await assert.rejects(failed);
    await runClient({ ...daemon.env, ...WITHOUT_NODE, XEN_BLKBACK_TIMEOUT: '5' }, vbd, 'add');
    const opened = await fixture.logged(vbd, 'opened');
    const [device, status] = await fixture.nodes(vbd, 'physical-device', 'hotplug-status');
    if (status === 'connected') assert.equal(device, opened.dev);
    assert.equal(fixture.events(vbd, 'opened').length, 1);
    await fixture.delete(vbd);
  }
});

describe('Daemons of one socket', function () {
  this.timeout(120_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('that start at once: one serves, the others say why not and leave the socket', async () => {
    for (let round = 0; round < effort(30, 4); round++) {
      await using bed = await startBed({});
      await using store = await openStore(bed);
      const fixture = new HotplugFixture(bed, store);
      if (round % 2 === 1) await leaveDeadSocket(bed);
      await oneOfFive(bed, async (env) => {
        const vbd = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/other' });
        const { status, stderr } = await runClient({ ...env, ...WITHOUT_NODE }, vbd, 'add');
        assert.deepEqual([status, stderr], [0, '']);
        await fixture.delete(vbd);
      });
    }
  });

  /** Leaves a socket as a killed daemon does, which the next daemons have to replace. */
  async function leaveDeadSocket(bed: Bed): Promise<void> {
    const daemon = await startDaemon(bed);
    daemon.kill('SIGKILL');
    await daemon.child.ended;
    assert.ok(existsSync(daemon.socket));
  }

  async function oneOfFive(
    bed: Bed,
    serve: (env: Record<string, string>) => Promise<void>,
  ): Promise<void> {
    const socket = join(bed.directory, 'control.sock');
    const env = { ...bed.env, XEN_BLKBACK_SOCKET: socket };
    const started = Array.from({ length: 5 }, async () => {
      const child = await startChild(process.execPath, [CLI, 'daemon'], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { PATH: process.env.PATH, ...env },
      });
      let said = '';
      let heard = () => {};
      child.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        heard();
      });
      const ready = new Promise<void>((resolve) => {
        heard = () => /: ready/.test(said) && resolve();
      });
      return { child, settled: Promise.race([ready, child.ended]), said: () => said };
    });
    const daemons = await Promise.all(started);
    try {
      await within(30_000, 'five daemons to serve or to end', () =>
        Promise.all(daemons.map(({ settled }) => settled)),
      );
      // A daemon that is about to lose its socket to another daemon ends only after this time.
      await pause(200);
      const alive = daemons.filter(({ child }) => child.end() === undefined);
      assert.equal(alive.length, 1, daemons.map(({ said }) => said()).join('--\n'));
      for (const { child, said } of daemons) {
        if (child.end() === undefined) continue;
        assert.equal(child.end(), 'exited with status 3');
        assert.match(said(), /daemon/);
      }
      assert.ok(existsSync(socket), 'one that has lost took the socket away');
      await serve(env);
      await stopChild(alive[0]?.child ?? assert.fail(), 12_000);
      assert.ok(!existsSync(socket));
    } finally {
      for (const { child } of daemons) await stopChild(child, 12_000);
    }
  }

  it('says READY to its service manager only when it has looked at every vbd', async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    const vbd = await fixture.vbd(fixture.image());
    let [ask, letAnswer] = [() => {}, () => {}];
    const asked = new Promise<void>((resolve) => {
      ask = resolve;
    });
    const answer = new Promise<void>((resolve) => {
      letAnswer = resolve;
    });
    await using proxy = await startXenstoreProxy(bed, (path) => {
      if (!path.endsWith(`${vbd.key}/params`)) return undefined;
      ask();
      return answer;
    });
    const address = join(bed.directory, 'notify');
    await using manager = await DatagramReceiver.bind(address);
    const socket = join(bed.directory, 'control.sock');
    const child = await startChild(process.execPath, [CLI, 'daemon'], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...{ PATH: process.env.PATH, ...bed.env, ...proxy.env },
        ...{ XEN_BLKBACK_SOCKET: socket, NOTIFY_SOCKET: address },
      },
    });
    try {
      await within(10_000, 'a look at the vbd', () => asked);
      await pause(1000);
      assert.deepEqual(
        manager.texts().filter((text) => /READY=1/.test(text)),
        [],
      );
      letAnswer();
      await manager.heard(/READY=1/);
    } finally {
      letAnswer();
      await stopChild(child, 12_000);
    }
    await fixture.delete(vbd);
  });
});
