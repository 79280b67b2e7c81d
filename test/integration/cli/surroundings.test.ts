import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { attachLoop } from '../../bed/images.js';
import { ANOTHER_USER, needs } from '../../bed/needs.js';
import { CLI, startProgram } from '../../bed/script.js';
import { withFixture } from './cli-bed.js';

describe('The command where something is missing', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('says without root that root is needed', async function () {
    needs(this, 'another user');
    await withFixture(async (fixture) => {
      chmodSync(fixture.bed.directory, 0o755);
      const image = fixture.image();
      for (const words of [['list'], ['show', '7/1'], ['add', '7/1'], ['check', image]]) {
        const args = [...ANOTHER_USER, process.execPath, CLI, ...words];
        const { status, stderr } = await startProgram('setpriv', args, fixture.bed.env).ended;
        assert.ok(status !== 0, words.join(' '));
        assert.match(stderr, /; xen-blkback has to be run as root \(sudo xen-blkback …\)/);
      }
    });
  });

  it('checks and inspects without xenstored what the kernel knows, and says what is not known', () =>
    withFixture(async (fixture) => {
      await using free = await attachLoop(fixture.image());
      const used = fixture.image();
      const vbd = await fixture.vbd(used);
      await fixture.attach(vbd);
      const env = { XENSTORED_PATH: '/nonexistent/socket', XENSTORED_RUNDIR: '' };
      const gap =
        /cannot reach xenstored at .*; without XenStore disks are not known that were pub/;

      const open = await fixture.cli(['check', free.path, '--json'], env);
      assert.equal(open.status, 4, open.stderr);
      const { verdict, warnings } = JSON.parse(open.stdout);
      assert.equal(verdict, 'unknown');
      assert.match(warnings[0], gap);
      assert.match(open.stderr, gap);

      const busy = await fixture.cli(['check', used], env);
      assert.equal(busy.status, 3, busy.stderr);
      assert.match(busy.stdout, /is attached read-write to domain 7/);

      const inspected = await fixture.cli(['inspect', free.path], env);
      assert.equal(inspected.status, 4);
      assert.match(inspected.stdout, /^stack +loop device \/dev\/loop/m);
      assert.match(inspected.stdout, /^verdict +nothing is known that keeps it from read-write$/m);
      assert.match(inspected.stdout, gap);
      assert.equal((await fixture.cli(['check', '/nonexistent'], env)).status, 1);
      assert.equal((await fixture.cli(['list'], env)).status, 1);
    }));

  it('says so where something else is at the path of xenstored', () =>
    withFixture(async (fixture) => {
      for (const [path, says] of [
        [fixture.image(), /it is neither a socket nor the device of XenStore: EPERM$/m],
        [fixture.bed.directory, /cannot connect to xenstored at .*: EISDIR$/m],
      ] as const) {
        const { status, stderr } = await fixture.cli(['list'], { XENSTORED_PATH: path });
        assert.equal(status, 1);
        assert.match(stderr, says);
      }
    }));

  it('tells by its status what check has found out', () =>
    withFixture(async (fixture) => {
      const used = fixture.image();
      await fixture.attach(await fixture.vbd(used));
      const absent = { XENSTORED_PATH: '/nonexistent/socket', XENSTORED_RUNDIR: '' };
      for (const [status, target, env] of [
        [0, fixture.image(), {}],
        [1, '/nonexistent', {}],
        [2, 'path=relative', {}],
        [3, used, {}],
        [4, fixture.image(), absent],
      ] as const) {
        const run = await fixture.cli(['check', target], env);
        assert.equal(run.status, status, `${target}: ${run.stderr}`);
      }
    }));

  it('is quiet where its reader has seen enough, and fails where its output is lost', () =>
    withFixture(async (fixture) => {
      const long = `/nowhere/${'x'.repeat(900)}`;
      await Promise.all(Array.from({ length: 100 }, () => fixture.create(long)));
      const shell = (command: string) => {
        const script = `set -o pipefail; '${process.execPath}' '${CLI}' ${command}`;
        const env = { ...process.env, ...fixture.bed.env };
        return spawnSync('bash', ['-c', script], { env, encoding: 'utf8' });
      };
      for (const words of ['list', 'list --json', 'help', 'config']) {
        const head = shell(`${words} | head -1`);
        assert.deepEqual([head.status, head.stderr], [0, ''], words);
        assert.equal(head.stdout.trimEnd().split('\n').length, 1);
        const full = shell(`${words} > /dev/full`);
        assert.equal(full.status, 1, words);
        assert.match(full.stderr, /^xen-blkback: the output cannot be written: ENOSPC/);
      }
    }));

  it('speaks English whatever the locale', () =>
    withFixture(async (fixture) => {
      const german = { LC_ALL: 'de_DE.UTF-8', LANG: 'de_DE.UTF-8', LANGUAGE: 'de' };
      for (const words of [['help'], ['help', 'add'], ['lsit'], ['show', '9/1'], ['list']]) {
        const [usual, other] = [await fixture.cli(words), await fixture.cli(words, german)];
        assert.deepEqual([other.stdout, other.stderr], [usual.stdout, usual.stderr]);
      }
    }));
});
