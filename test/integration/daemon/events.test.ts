import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { type Daemon, runClient, startDaemon } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { needs } from '../../bed/needs.js';
import { CLI, type Running, startProgram } from '../../bed/script.js';
import { closeVbd, type Vbd } from '../../bed/toolstack.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { withDaemon } from './with-daemon.js';

describe('xen-blkback events', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  /** Starts `xen-blkback events`. It reports every event from the moment at which this resolves. */
  async function follow({ env }: Pick<Daemon, 'env'>, ...options: string[]): Promise<Running> {
    const running = startProgram(process.execPath, [CLI, 'events', '-v', ...options], env);
    const { stderr } = running.process;
    assert.ok(stderr);
    await within(10_000, 'it to follow', async () => {
      const [said] = await once(stderr, 'data');
      assert.match(String(said), /^xen-blkback: following /);
    });
    return running;
  }

  async function attachAndDetach(fixture: HotplugFixture, daemon: Daemon): Promise<Vbd> {
    const vbd = await fixture.vbd(fixture.image());
    assert.equal((await runClient(daemon.env, vbd, 'add')).status, 0);
    await closeVbd(fixture.store, vbd);
    assert.equal((await runClient(daemon.env, vbd, 'remove')).status, 0);
    return vbd;
  }

  it('tells each step of an attach and a detach, in order and with times, until interrupted', () =>
    withDaemon({}, async (fixture, daemon) => {
      await fixture.store.write('/local/domain/7/name', 'work');
      const running = await follow(daemon, '--json');
      const vbd = await attachAndDetach(fixture, daemon);
      running.process.kill('SIGINT');
      const { status, stdout } = await running.ended;
      assert.equal(status, 0);
      const [start, ...events] = stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      assert.deepEqual(
        [start.action, start.step, start.detail],
        ['snapshot', 'complete', '0 vbds'],
      );
      assert.deepEqual(
        events.map(({ run, seq }) => [run, seq]),
        events.map((_, index) => [start.run, index + 1]),
      );
      const steps = events.filter(({ action }) => action !== 'guest');
      assert.deepEqual(
        steps.map(({ backend, action, step }) => `${backend} ${action} ${step}`),
        [
          ...['planned', 'ready', 'opened', 'published', 'connected', 'released', 'attached'].map(
            (step) => `${vbd.backendPath} add ${step}`,
          ),
          ...['planned', 'closed', 'released', 'removed'].map(
            (step) => `${vbd.backendPath} remove ${step}`,
          ),
        ],
      );
      const times = events.map(({ time }) => Date.parse(time));
      assert.deepEqual(
        times,
        [...times].sort((a, b) => a - b),
      );
      const from = events.findIndex(({ step }) => step === 'opened');
      for (const event of events.slice(from, from + 5)) {
        assert.equal(event.domain, 'work', event.step);
        assert.ok(event.target.startsWith(fixture.bed.images), event.target);
        assert.match(event.device, /^\/dev\/loop\d+$/);
        assert.match(event.diskseq, /^\d+$/);
      }
    }));

  it('tells first how every vbd is, and what a guest does by itself', () =>
    withDaemon({}, async (fixture, daemon) => {
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await runClient(daemon.env, vbd, 'add')).status, 0);
      const bad = await fixture.vbd('/nonexistent');
      assert.equal((await runClient(daemon.env, bad, 'add')).status, 1);
      const running = startProgram(process.execPath, [CLI, 'events', '--json'], daemon.env);
      let said = '';
      running.process.stdout?.on('data', (text: string) => {
        said += text;
      });
      const says = (word: string): Promise<void> =>
        within(10_000, word, async () => {
          while (!said.includes(`"${word}"`)) await pause(20);
        });
      await says('complete');
      await fixture.store.write(`${vbd.backendPath}/state`, '5');
      await says('guest');
      running.process.kill('SIGINT');
      const told = (await running.ended).stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map(({ devid, action, step, state }) => [devid, action, step, state]);
      assert.deepEqual(told.slice(0, 3), [
        [51712, 'snapshot', 'attached', '2'],
        [51728, 'snapshot', 'failed', '2'],
        [null, 'snapshot', 'complete', null],
      ]);
      assert.deepEqual(told[3], [51712, 'guest', 'state', '5']);
    }));

  it('goes on with --reconnect when the daemon is back', () =>
    withDaemon({}, async (fixture, daemon, bed) => {
      const running = await follow(daemon, '--json', '--reconnect');
      let said = '';
      running.process.stdout?.on('data', (text: string) => {
        said += text;
      });
      daemon.kill('SIGKILL');
      await daemon.child.ended;
      await using second = await startDaemon(bed);
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await runClient(second.env, vbd, 'add')).status, 0);
      await within(10_000, 'it to be back', async () => {
        while (!said.includes('"attached"')) await pause(20);
      });
      running.process.kill('SIGINT');
      const { status, stderr } = await running.ended;
      assert.equal(status, 0);
      assert.match(stderr, /; connecting again\n/);
    }));

  it('tells of a failure, with its code', () =>
    withDaemon({}, async (fixture, daemon) => {
      const running = await follow(daemon, '--json');
      const vbd = await fixture.vbd('/nonexistent/image');
      assert.equal((await runClient(daemon.env, vbd, 'add')).status, 1);
      running.process.kill('SIGTERM');
      const last = JSON.parse((await running.ended).stdout.trimEnd().split('\n').at(-1) ?? '');
      assert.deepEqual([last.step, last.code, last.errno], ['failed', 'ENOENT', 2]);
    }));

  it('says it in words for people, and ends when the daemon does', () =>
    withDaemon({}, async (fixture, daemon) => {
      const running = await follow(daemon);
      const vbd = await attachAndDetach(fixture, daemon);
      daemon.kill('SIGTERM');
      const { status, stdout, stderr } = await running.ended;
      assert.equal(status, 1);
      assert.match(stderr, /the daemon at .* has ended\n$/);
      const start = `^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z  ${vbd.key} +add +opened +/dev/loop`;
      assert.match(stdout, new RegExp(start, 'm'));
    }));

  it('ends when the daemon is killed', () =>
    withDaemon({}, async (_fixture, daemon) => {
      const running = await follow(daemon);
      daemon.kill('SIGKILL');
      const { status, stderr } = await running.ended;
      assert.equal(status, 1);
      assert.match(stderr, /has ended without a word, or has cut off this reader/);
    }));

  it('says that there is no daemon, or that it does not answer', () =>
    withDaemon({}, async (_fixture, daemon, bed) => {
      const events = (socket: string) =>
        startProgram(process.execPath, [CLI, 'events', '--socket', socket], bed.env).ended;
      const absent = await events(join(bed.directory, 'no.sock'));
      assert.deepEqual([absent.status, absent.stdout], [1, '']);
      assert.match(
        absent.stderr,
        /no daemon answers at .*no\.sock .*is xen-blkback daemon running\?/,
      );
      daemon.kill('SIGSTOP');
      const hanging = await events(daemon.socket);
      assert.equal(hanging.status, 1);
      assert.match(hanging.stderr, /the daemon at .* does not answer\n$/);
    }));

  it('ends quietly when nobody reads what it prints', () =>
    withDaemon({}, async (fixture, daemon) => {
      const command = `"$1" "$2" events -v | head -n 1`;
      const env = { PATH: process.env.PATH, ...daemon.env };
      const child = spawn('sh', ['-c', command, 'sh', process.execPath, CLI], { env });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (data) => {
        stdout += data;
      });
      child.stderr.on('data', (data) => {
        stderr += data;
      });
      await within(10_000, 'it to follow', () => once(child.stderr, 'data'));
      const closed = once(child, 'close');
      await attachAndDetach(fixture, daemon);
      await within(10_000, 'its end', () => closed);
      assert.equal(stdout.split('\n').length, 2);
      assert.match(stderr, /^xen-blkback: following [^\n]*\n$/);
    }));
});
