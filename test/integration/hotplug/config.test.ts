import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBed } from '../../bed/bed.js';
import { runClient, startDaemonProgram } from '../../bed/daemon.js';
import { needs } from '../../bed/needs.js';
import { CLI, HOTPLUG_SCRIPT, libxlEnvironment, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from './fixture.js';

describe('The configuration file', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  /** Runs `body` on a fixture whose settings are in a file, and not in the environment. */
  async function onConfig(
    body: (
      fixture: HotplugFixture,
      env: Record<string, string>,
      write: (text: string) => void,
    ) => Promise<void>,
  ): Promise<void> {
    await using bed = await startBed();
    await using store = await openStore(bed);
    const file = join(bed.directory, 'xen-blkback.conf');
    const settings: Record<string, string> = {};
    const env: Record<string, string> = { XEN_BLKBACK_CONFIG: file };
    for (const [name, value] of Object.entries(bed.env)) {
      const [, key] = /^XEN_BLKBACK_(.*)$/.exec(name) ?? [];
      if (key === undefined) env[name] = value;
      else settings[key.toLowerCase().replaceAll('_', '-')] = value;
    }
    settings.socket = join(bed.directory, 'control.sock');
    const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
    const write = (text: string): void => writeFileSync(file, lines.join('') + text);
    write('');
    await body(new HotplugFixture(bed, store), env, write);
  }

  const cli = (env: Record<string, string>, ...words: string[]) =>
    startProgram(process.execPath, [CLI, ...words], env).ended;

  it('is read by the one-shot program, the command, the daemon and the client alike', () =>
    onConfig(async (fixture, env) => {
      const first = await fixture.vbd(fixture.image());
      const script = { ...env, ...libxlEnvironment(first.backendPath) };
      const shot = await startProgram(HOTPLUG_SCRIPT, ['add'], script).ended;
      assert.deepEqual([shot.status, shot.stderr], [0, '']);
      // The lock is in the directory that the file names.
      assert.ok(existsSync(join(fixture.bed.runDirectory, 'sharing.lock')));
      const listed = await cli(env, 'list', '--json');
      assert.equal(JSON.parse(listed.stdout).vbds[0].opened, true, 'sysfs is where the file says');

      const second = await fixture.vbd(fixture.image());
      const { XEN_BLKBACK_RUN_DIR: _, ...bedEnv } = fixture.bed.env;
      await using daemon = await startDaemonProgram(
        { ...fixture.bed, env: bedEnv },
        process.execPath,
        [CLI, 'daemon'],
        { ...env, XEN_BLKBACK_SOCKET: '', XEN_BLKBACK_SYSFS: '', XEN_BLKBACK_LOG: '' },
      );
      assert.ok(existsSync(daemon.socket), 'the socket is where the file says');
      const client = await runClient(env, second, 'add');
      assert.deepEqual([client.status, client.stderr], [0, '']);
      await daemon.says(/: attached/);
      assert.ok(daemon.said().includes(`${second.key}: attached`));
    }));

  it('is told to be wrong by everybody who reads it, with file, line and what was expected', () =>
    onConfig(async (fixture, env, write) => {
      write('timeout=soon\n');
      const says =
        /xen-blkback\.conf line \d+: timeout "soon": seconds from 0\.1 to 86400 are needed/;
      const vbd = await fixture.vbd(fixture.image());
      const script = { ...env, ...libxlEnvironment(vbd.backendPath) };
      const shot = await startProgram(HOTPLUG_SCRIPT, ['add'], script).ended;
      assert.equal(shot.status, 1, 'a toolstack knows no other');
      assert.match(shot.stderr, says);
      assert.match((await fixture.node(vbd, 'hotplug-error')) ?? '', says);
      assert.equal(await fixture.node(vbd, 'hotplug-status'), 'error');
      for (const words of [['list'], ['daemon'], ['events'], ['config'], ['config', '--check']]) {
        const run = await cli(env, ...words);
        assert.deepEqual([run.status, run.stdout], [2, ''], words.join(' '));
        assert.match(run.stderr, says);
      }
    }));

  it('is shown by config, with the origin of each value', () =>
    onConfig(async (fixture, env, write) => {
      write('verbose=yes\n');
      const { status, stdout, stderr } = await cli(
        { ...env, XEN_BLKBACK_UAPI: 'inline' },
        'config',
      );
      assert.deepEqual([status, stderr], [0, '']);
      assert.match(stdout, /^SETTING +VALUE +FROM\n/);
      assert.match(stdout, /^uapi +inline +XEN_BLKBACK_UAPI$/m);
      assert.match(stdout, /^verbose +yes +\/.*\/xen-blkback\.conf line \d+$/m);
      assert.match(stdout, /^timeout +30 +built in$/m);
      const json = JSON.parse((await cli(env, 'config', '--json')).stdout);
      assert.equal(json.version, 1);
      assert.deepEqual(json.settings.timeout, { value: '30', source: 'built in', place: null });
      assert.equal(json.settings['run-dir'].value, fixture.bed.runDirectory);
      const checked = await cli(env, 'config', '--check');
      assert.deepEqual([checked.status, checked.stdout, checked.stderr], [0, '', '']);
    }));

  it('leads to no log in the directory where somebody happens to be', async () => {
    const env = {
      XEN_BLKBACK_LOG: 'xen-relative.log',
      XENBUS_PATH: 'backend/vbd/7/51712',
      XENSTORED_PATH: '/nonexistent',
    };
    const { status, stderr } = await startProgram(HOTPLUG_SCRIPT, ['add'], env).ended;
    assert.equal(status, 1);
    assert.match(stderr, /log "xen-relative\.log": an absolute path is needed/);
    assert.ok(!existsSync('xen-relative.log'));
  });

  it('is refused where it is no regular file, before anybody waits for it or opens a device', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'xen-config-'));
    const [fifo, socket, huge] = ['fifo', 'socket', 'huge'].map((name) => join(directory, name));
    execFileSync('mkfifo', [fifo ?? '']);
    const server = createServer().listen(socket);
    writeFileSync(huge ?? '', '');
    truncateSync(huge ?? '', 2 ** 40);
    try {
      for (const [file = '', says] of [
        [fifo, 'is no regular file: a configuration file is expected there'],
        [socket, 'is no regular file: a configuration file is expected there'],
        [directory, 'is no regular file: a configuration file is expected there'],
        ['/dev/zero', 'is no regular file: a configuration file is expected there'],
        [huge, 'at most 65536 bytes are expected: this is no configuration file'],
      ]) {
        const run = await cli({ XEN_BLKBACK_CONFIG: file }, 'config');
        assert.equal(run.status, 2, file);
        assert.match(run.stderr, new RegExp(`^xen-blkback: ${file}:? ${says}\n$`));
      }
      const none = await cli({ XEN_BLKBACK_CONFIG: '/dev/null' }, 'config');
      assert.deepEqual([none.status, none.stderr], [0, '']);
    } finally {
      server.close();
      rmSync(directory, { recursive: true });
    }
  });

  it('is told of all that is wrong in it by config --check', () =>
    onConfig(async (_, env, write) => {
      write('timeuot=3\nall\nuapi=both\n');
      const { status, stderr } = await cli(env, 'config', '--check');
      assert.equal(status, 2);
      assert.match(stderr, /"timeuot": did you mean timeout\?\n.*KEY=VALUE.*\n.*uapi "both"/);
      assert.equal(stderr.trimEnd().split('\n').length, 3);
    }));
});
