import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { startBed } from '../../bed/bed.js';
import { type Daemon, runClient, startDaemonProgram } from '../../bed/daemon.js';
import { DatagramReceiver } from '../../bed/datagrams.js';
import { sample } from '../../bed/effort.js';
import { attachLoop, loopsLeft } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { built } from '../../bed/paths.js';
import { CLI, type Run } from '../../bed/script.js';
import { skipByName } from '../../bed/skip.js';
import { openStore } from '../../bed/store.js';
import type { Vbd } from '../../bed/toolstack.js';
import { HotplugFixture } from '../hotplug/fixture.js';

/** The client cannot fall back without Node. */
const WITHOUT_NODE = { PATH: '/nonexistent' };
/** The daemon does not prepare a vbd of this script unasked. */
const UNASKED = { script: '/etc/xen/scripts/another' };

describe('Of what there is no more, or what hangs', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  interface Setup {
    readonly fixture: HotplugFixture;
    /** The environment of the programs that meet the shortage. */
    readonly env: Readonly<Record<string, string>>;
    /** Begins a shortage of `what`. Without an argument, ends the shortage. */
    readonly shortOf: (what?: string) => void;
  }

  async function withSetup(body: (setup: Setup) => Promise<void>): Promise<void> {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const file = join(bed.directory, 'shortage');
    const env = { LD_PRELOAD: built('shortage.so'), SHORTAGE: file };
    const shortOf = (what?: string): void => {
      if (what === undefined) rmSync(file, { force: true });
      else writeFileSync(file, `${what}\n`);
    };
    try {
      await body({ fixture: new HotplugFixture(bed, store), env, shortOf });
    } finally {
      shortOf();
    }
    assert.deepEqual(await loopsLeft(bed.images), []);
  }

  const startDaemon = ({ fixture, env }: Setup, seconds = 4): Promise<Daemon> =>
    startDaemonProgram(
      fixture.bed,
      process.execPath,
      [CLI, 'daemon', '--timeout', String(seconds)],
      env,
    );

  const ask = (daemon: Daemon, vbd: Vbd, action = 'add'): Promise<Run> =>
    runClient({ ...daemon.env, ...WITHOUT_NODE }, vbd, action);

  async function attaches({ fixture }: Setup, add: (vbd: Vbd) => Promise<Run>): Promise<void> {
    const vbd = await fixture.vbd(fixture.image(), UNASKED);
    const { status, stderr } = await add(vbd);
    assert.equal(status, 0, stderr);
    await fixture.delete(vbd);
  }

  it('a device whose open hangs holds up nobody else, and ends at its deadline', () =>
    withSetup(async (setup) => {
      const { fixture, env, shortOf } = setup;
      await using disk = await attachLoop(fixture.image());
      await using daemon = await startDaemon(setup);
      shortOf(`open ${disk.path}`);
      for (const add of [
        (vbd: Vbd) => ask(daemon, vbd),
        (vbd: Vbd) => fixture.script(vbd, 'add', { ...env, XEN_BLKBACK_TIMEOUT: '4' }),
      ]) {
        const vbd = await fixture.vbd(disk.path, UNASKED);
        const started = performance.now();
        const hung = add(vbd);
        await pause(300);
        await attaches(setup, add);
        const { status, stderr } = await hung;
        assert.ok(performance.now() - started < 9000);
        assert.equal(status, 1);
        const told = `${disk.path} does not answer (open ${disk.path} has not come back for`;
        assert.ok(stderr.includes(told), stderr);
        assert.ok((await fixture.node(vbd, 'hotplug-error'))?.includes(told));
        await fixture.delete(vbd);
      }
      shortOf();
      const vbd = await fixture.vbd(disk.path, UNASKED);
      const again = await ask(daemon, vbd);
      assert.equal(again.status, 0, again.stderr);
      await fixture.delete(vbd);
    }));

  it('threads: an add says so at once, and works when there are some again', () =>
    withSetup(async (setup) => {
      const { fixture, env, shortOf } = setup;
      await using daemon = await startDaemon(setup);
      // Threads that wait for work could make the call. They end within this time.
      await pause(2500);
      for (const add of [
        (vbd: Vbd) => fixture.script(vbd, 'add', env),
        (vbd: Vbd) => ask(daemon, vbd),
      ]) {
        shortOf('threads');
        const vbd = await fixture.vbd(fixture.image(), UNASKED);
        const { status, stderr, milliseconds } = await add(vbd);
        assert.equal(status, 1);
        assert.match(stderr, /pthread_create .*: the process may have no more threads \(TasksMax/);
        assert.ok(milliseconds < 4000);
        assert.match((await fixture.node(vbd, 'hotplug-error')) ?? '', /no more threads/);
        shortOf();
        const again = await add(vbd);
        assert.equal(again.status, 0, again.stderr);
        await fixture.delete(vbd);
      }
    }));

  it('descriptors: the daemon goes on, and scripts do it themselves meanwhile', () =>
    withSetup(async (setup) => {
      const { fixture } = setup;
      await using daemon = await startDaemon(setup);
      await attaches(setup, (vbd) => ask(daemon, vbd));
      const { pid } = daemon.child;
      const limit = (count: number): void => {
        const { status } = spawnSync('prlimit', ['--pid', String(pid), `--nofile=${count}:4096`]);
        assert.equal(status, 0);
      };
      const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
      /**
       * Returns the limit that leaves this many descriptors. Descriptors that the daemon inherited
       * may have high numbers.
       */
      const leaving = (more: number): number => {
        let count = 0;
        for (let left = more; left > 0 || used.has(count); count++) if (!used.has(count)) left--;
        return count;
      };
      for (const more of sample([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14], 6)) {
        limit(leaving(more));
        await attaches(setup, (vbd) => runClient(daemon.env, vbd, 'add'));
      }
      // A vbd that the daemon has begun to attach unasked must not be in the way either.
      const marked = await fixture.vbd(fixture.image());
      const run = await runClient(daemon.env, marked, 'add');
      assert.ok(run.status === 0 || /too many open files/.test(run.stderr), run.stderr);
      limit(1024);
      const again = await ask(daemon, marked);
      assert.equal(again.status, 0, again.stderr);
      await fixture.delete(marked);
      await attaches(setup, (vbd) => ask(daemon, vbd));
    }));

  it('space in /run: all is attached that needs none, and the rest leaves nothing', () =>
    withSetup(async (setup) => {
      const { fixture } = setup;
      const { runDirectory } = fixture.bed;
      const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'none', runDirectory]);
      assert.equal(mounted.status, 0);
      try {
        spawnSync('dd', ['if=/dev/zero', `of=${runDirectory}/filler`, 'bs=4k', 'count=100']);
        await using daemon = await startDaemon(setup);
        for (const add of [
          (vbd: Vbd) => ask(daemon, vbd),
          (vbd: Vbd) => fixture.script(vbd, 'add'),
        ]) {
          await attaches(setup, add);
          const kept = await fixture.vbd(`path=${fixture.image()},autoclear=no`, UNASKED);
          const { status, stderr } = await add(kept);
          assert.equal(status, 1);
          assert.match(stderr, /could not be written: ENOSPC/);
          await fixture.delete(kept);
        }
        assert.deepEqual(readdirSync(runDirectory).sort(), ['filler', 'sharing.lock']);
      } finally {
        spawnSync('umount', ['--lazy', runDirectory]);
      }
    }));

  it('room at the socket of syslog: nobody waits for that', async function () {
    if (existsSync('/dev/log')) {
      skipByName(this, 'a syslog daemon runs here');
    }
    const receiver = await DatagramReceiver.bind('/dev/log');
    try {
      receiver.stop();
      await withSetup(async (setup) => {
        const { fixture } = setup;
        await using daemon = await startDaemon(setup);
        const wrong = await fixture.vbd('/nonexistent', UNASKED);
        // The kernel's net.unix.max_dgram_qlen is 10, or some hundreds.
        for (let i = 0; i < 30; i++) assert.equal((await ask(daemon, wrong)).status, 1);
        const { status, milliseconds } = await fixture.script(wrong, 'add');
        assert.equal(status, 1);
        assert.ok(milliseconds < 5000);
        await attaches(setup, (vbd) => ask(daemon, vbd));
        await fixture.delete(wrong);
      });
    } finally {
      receiver.resume();
      await receiver[Symbol.asyncDispose]();
      rmSync('/dev/log', { force: true });
    }
  });

  it('answers of the log: a failure is told all the same, and the daemon goes on', () =>
    withSetup(async (setup) => {
      const { fixture } = setup;
      const log = join(fixture.bed.directory, 'log-that-nobody-reads');
      assert.equal(spawnSync('mkfifo', [log]).status, 0);
      await using daemon = await startDaemonProgram(
        fixture.bed,
        process.execPath,
        [CLI, 'daemon', '--log', log],
        setup.env,
      );
      const wrong = await fixture.vbd('/nonexistent', UNASKED);
      for (let i = 0; i < 20; i++) {
        const { status, milliseconds } = await ask(daemon, wrong);
        assert.equal(status, 1);
        assert.ok(milliseconds < 2000);
      }
      const run = await fixture.script(wrong, 'add', { XEN_BLKBACK_LOG: log });
      assert.equal(run.status, 1);
      assert.ok(run.milliseconds < 4000);
      await attaches(setup, (vbd) => ask(daemon, vbd));
      const started = performance.now();
      daemon.kill('SIGTERM');
      assert.equal(await daemon.child.ended, 'exited with status 0');
      assert.ok(performance.now() - started < 3000);
      await fixture.delete(wrong);
    }));
});
