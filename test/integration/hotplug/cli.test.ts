import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COMMANDS } from '../../../src/cli/commands.js';
import { only } from '../../bed/assertions.js';
import { startBed } from '../../bed/bed.js';
import { loopsOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { CLI, HOTPLUG_SCRIPT, libxlEnvironment, type Run, startProgram } from '../../bed/script.js';
import { skipByName } from '../../bed/skip.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture, MARKER } from './fixture.js';

const COMMAND_NAMES = ['', ...Object.keys(COMMANDS)];

function cli(...args: string[]): Promise<Run> {
  return startProgram(process.execPath, [CLI, ...args], {}).ended;
}

describe('xen-blkback, the command', () => {
  it('lists every command with --help, -h, help, and in any locale', async () => {
    const { status, stdout, stderr } = await cli('--help');
    assert.deepEqual([status, stderr], [0, '']);
    for (const word of ['add', 'remove', 'list', 'config', 'daemon', 'help', '--version']) {
      assert.match(stdout, new RegExp(`^ .*${word}\\b`, 'm'));
    }
    const env = { LC_ALL: 'de_DE.UTF-8', LANGUAGE: 'de' };
    for (const words of [['-h'], ['help'], ['help', 'help']]) {
      const other = await startProgram(process.execPath, [CLI, ...words], env).ended;
      assert.deepEqual([other.status, other.stdout], [0, stdout]);
    }
  });

  it('tells the options of one command, and no others', async () => {
    const { status, stdout } = await cli('help', 'add');
    assert.equal(status, 0);
    for (const word of ['--json', '--timeout', '--uapi', '--sysfs', '--dry-run', 'XENBUS_PATH']) {
      assert.ok(stdout.includes(word), word);
    }
    assert.ok(!stdout.includes('--scripts'));
    assert.equal((await cli('add', '--help')).stdout, stdout);
    const daemon = await cli('daemon', '-h');
    assert.ok(daemon.stdout.includes('--scripts') && !daemon.stdout.includes('--dry-run'));
    for (const command of COMMAND_NAMES) {
      const help = (await cli('help', ...(command === '' ? [] : [command]))).stdout;
      for (const line of help.split('\n')) assert.ok(line.length <= 80, line);
    }
  });

  it('tells the version of its package', async () => {
    const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
    const told = (await cli('--version')).stdout;
    const lines = `^xen-blkback ${version} \\([0-9a-f]{12}\\)\\nsocket protocol 1, JSON 1, Linux [\\d.]+`;
    assert.match(told, new RegExp(lines));
  });

  for (const option of ['--version', '--help']) {
    it(`fails where its output cannot be written: ${option}`, () => {
      const full = openSync('/dev/full', 'w');
      const { status, stderr } = spawnSync(process.execPath, [CLI, option], {
        stdio: ['ignore', full, 'pipe'],
        encoding: 'utf8',
      });
      closeSync(full);
      assert.equal(status, 1);
      assert.match(stderr, /^xen-blkback: the output cannot be written: ENOSPC[^\n]*\n$/);
    });
  }

  for (const [args, says] of [
    [[], /a command is needed; see xen-blkback help$/],
    [['frobnicate'], /there is no command "frobnicate"; see xen-blkback help$/],
    [['lsit'], /there is no command "lsit": did you mean list\? see xen-blkback help$/],
    [['constructor'], /there is no command "constructor"/],
    [['add', '--frobnicate'], /add has no option --frobnicate; see xen-blkback help add$/],
    [['add', '--jsno'], /add has no option --jsno: did you mean --json\?/],
    [['daemon', '--dry-run'], /daemon has no option --dry-run/],
    [['daemon', '--run-dir', '/x'], /daemon has no option --run-dir/],
    [['list', '--mode', 'r'], /list has no option --mode/],
    [['events', 'more'], /events takes no argument: "more" is one too many/],
    [['check'], /check needs an argument: xen-blkback check TARGET/],
    [['add', '--timeout'], /--timeout needs a value/],
    [['add', 'backend/vbd/1/2', '--timeout', 'soon'], /timeout "soon"/],
    [['add', 'backend/vbd/1/2', '--uapi', 'both'], /uapi "both"/],
    [['add', 'backend/vbd/1/2', '--sysfs', 'sys'], /sysfs "sys": an absolute path/],
    [['add', 'device/vbd/1'], /"device\/vbd\/1" is no backend path/],
    [['help', 'frobnicate'], /there is no command "frobnicate"/],
  ] as const) {
    it(`refuses "${args.join(' ')}" with one line and status 2`, async () => {
      const { status, stdout, stderr } = await cli(...args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, /^xen-blkback: [^\n]+\n$/);
      assert.match(stderr.trimEnd(), says);
    });
  }
});

describe('xen-blkback on a bed', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  async function withFixture(body: (fixture: HotplugFixture) => Promise<void>): Promise<void> {
    await using bed = await startBed({ guise: 'diskseq' });
    await using store = await openStore(bed);
    await body(new HotplugFixture(bed, store));
    assert.deepEqual(loopsOf(bed.images).length <= 1, true);
  }

  it('prints one JSON object for a success and for a failure', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const good = await fixture.cli(['add', vbd.backendPath, '--json']);
      assert.equal(good.status, 0, good.stderr);
      const { diskseq, ...rest } = JSON.parse(good.stdout);
      assert.match(diskseq, /^\d+$/);
      assert.equal(BigInt(`0x${rest.xenstore.diskseq}`), BigInt(diskseq));
      assert.match(rest.devnum, /^7:\d+$/);
      assert.match(rest.xenstore['physical-device'], /^7:[0-9a-f]+$/);
      assert.equal(rest['hotplug-status'], undefined);
      assert.deepEqual(
        [rest.backend, rest.already, rest['opened-by']],
        [vbd.backendPath, false, 'key'],
      );
      const bad = await fixture.cli(['add', 'backend/vbd/9/1', '--json']);
      assert.equal(bad.status, 1);
      assert.equal(JSON.parse(bad.stdout).error.code, 'EBACKEND');
      assert.match(bad.stderr, /there is no backend backend\/vbd\/9\/1/);
      await fixture.close(vbd);
      const removed = await fixture.cli(['remove', vbd.backendPath, '--json']);
      assert.deepEqual(JSON.parse(removed.stdout), {
        ...{ version: 1, backend: vbd.backendPath, detached: true },
      });
    }));

  it('tells all of what a pipe takes in many parts', () =>
    withFixture(async (fixture) => {
      const long = `/nowhere/${'x'.repeat(900)}`;
      const vbds = await Promise.all(Array.from({ length: 100 }, () => fixture.create(long)));
      const { status, stdout } = await fixture.cli(['list', '--json']);
      assert.equal(status, 0);
      assert.ok(stdout.length > 65_536);
      assert.equal(JSON.parse(stdout).vbds.length, vbds.length);
    }));

  it('says what it would do with --dry-run, and touches nothing', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(`path=${fixture.image()},offset=4096,block-size=4096`);
      const before = listStore(fixture);
      const run = await fixture.cli(['add', vbd.backendPath, '--dry-run']);
      assert.deepEqual([run.status, run.stderr], [0, '']);
      assert.match(run.stdout, /^open \/.*\n.*from byte 4096.*blocks of 4096.*\n/);
      const removal = await fixture.cli(['remove', vbd.backendPath, '--dry-run']);
      assert.match(removal.stdout, /nothing is attached/);
      assert.equal(listStore(fixture), before);
      fixture.assertNothingLeft();
      await fixture.attach(vbd);
      const attached = listStore(fixture);
      const planned = await fixture.cli(['remove', vbd.backendPath, '--dry-run', '--json']);
      const device = only(fixture.loops());
      assert.deepEqual(JSON.parse(planned.stdout), {
        ...{ version: 1, backend: vbd.backendPath, device },
      });
      assert.equal(listStore(fixture), attached);
      const bad = await fixture.cli(['add', (await fixture.vbd('x=y')).backendPath, '--dry-run']);
      assert.match(bad.stderr, /unknown key "x"/);
    }));

  it('prints each step with its time with --verbose', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const run = await fixture.cli(['add', vbd.backendPath, '-v']);
      const steps = [...run.stderr.matchAll(/^ *[\d.]+ ms {2}(\w+)/gm)].map((match) => match[1]);
      assert.deepEqual(steps, ['planned', 'ready', 'opened', 'published', 'connected', 'released']);
    }));

  it('takes settings from the environment, and options before them', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.create('/nonexistent');
      const env = { XEN_BLKBACK_UAPI: 'nonsense', XEN_BLKBACK_TIMEOUT: '' };
      const fromEnvironment = await fixture.cli(['add', vbd.backendPath], env);
      assert.match(fromEnvironment.stderr, /uapi "nonsense"/);
      const overridden = await fixture.cli(['add', vbd.backendPath, '--uapi', 'key'], env);
      assert.match(overridden.stderr, /open \/nonexistent: no such file/);
    }));

  it('runs the hotplug script through a link', () =>
    withFixture(async (fixture) => {
      const link = join(fixture.bed.directory, 'block-diskseq');
      symlinkSync(HOTPLUG_SCRIPT, link);
      const vbd = await fixture.vbd(fixture.image());
      const env = { ...fixture.bed.env, ...libxlEnvironment(vbd.backendPath) };
      const run = await startProgram(link, ['add'], env).ended;
      assert.deepEqual([run.status, run.stdout, run.stderr], [0, '', '']);
    }));

  it('runs a copy of the hotplug script with the program in /usr/lib/xen-blkback', function () {
    return withFixture(async (fixture) => {
      const copy = join(fixture.bed.directory, 'block-diskseq');
      copyFileSync(HOTPLUG_SCRIPT, copy);
      // The mount namespace is the test's own, so nothing is installed on this machine.
      const lower = join(fixture.bed.directory, 'lower');
      mkdirSync(lower);
      symlinkSync(projectRoot, join(lower, 'xen-blkback'));
      const overlay = `mount -t overlay overlay -o 'lowerdir=${lower}:/usr/lib' /usr/lib`;
      if (spawnSync('unshare', ['-m', 'sh', '-c', overlay]).status !== 0) {
        skipByName(this, 'no overlay can be mounted here');
      }
      const vbd = await fixture.vbd(fixture.image());
      const env = { ...fixture.bed.env, ...libxlEnvironment(vbd.backendPath) };
      const command = `${overlay} && exec '${copy}' add`;
      const run = await startProgram('unshare', ['-m', 'sh', '-c', command], env).ended;
      assert.deepEqual([run.status, run.stdout, run.stderr], [0, '', '']);
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
    });
  });
});

function listStore({ bed }: HotplugFixture): string {
  const env = { ...process.env, ...bed.env };
  return execFileSync('xenstore-ls', ['-f', '-p'], { env, encoding: 'utf8' });
}

describe('the hotplug script', () => {
  it('says how it is called when it is called otherwise', async () => {
    for (const args of [[], ['frob'], ['add', 'more']]) {
      const run = await startProgram(HOTPLUG_SCRIPT, args, {}).ended;
      assert.equal(run.status, 1);
      assert.match(run.stderr, /^usage: [^\n]*block-diskseq add\|remove\n$/);
    }
  });

  it('says that the program is missing when it was copied without it', function () {
    if (existsSync('/usr/lib/xen-blkback')) {
      skipByName(this, '/usr/lib/xen-blkback is installed here');
    }
    const directory = mkdtempSync(join(tmpdir(), 'xen-script-'));
    const copy = join(directory, 'block-diskseq');
    copyFileSync(HOTPLUG_SCRIPT, copy);
    return startProgram(copy, ['add'], {})
      .ended.then((run) => {
        assert.equal(run.status, 1);
        assert.match(run.stderr, /\/usr\/lib\/xen-blkback.*is xen-blkback installed\?\n$/);
      })
      .finally(() => rmSync(directory, { recursive: true }));
  });
});
