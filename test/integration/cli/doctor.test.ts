import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKS, type Check, type Place } from '../../../src/cli/doctor-checks.js';
import { loadDaemonSettings, loadSettings } from '../../../src/cli/setting-sources.js';
import { startDaemon } from '../../bed/daemon.js';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { withFixture } from './cli-bed.js';

async function examine(
  fixture: HotplugFixture,
  env: Record<string, string> = {},
): Promise<Map<string, Check>> {
  const { stdout, stderr } = await fixture.cli(['doctor', '--json'], env);
  assert.equal(stderr, '');
  const { checks } = assertSchema('doctor', stdout) as unknown as { checks: Check[] };
  assert.deepEqual(
    checks.map(({ name }) => name),
    Object.keys(CHECKS),
  );
  return new Map(checks.map((check) => [check.name, check]));
}

/** Returns the place in which a check looks, for the directories and settings of a bed. */
function placeOf(fixture: HotplugFixture, env: Record<string, string> = {}): Place {
  const whole = { ...fixture.bed.env, ...env };
  return {
    ...{ settings: loadSettings(whole), daemon: loadDaemonSettings(whole) },
    ...{ scripts: join(fixture.bed.directory, 'scripts'), rules: [] },
    signal: AbortSignal.timeout(10_000),
  };
}

describe('xen-blkback doctor', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('tells of each thing whether it is well, a line each', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      const checks = await examine(fixture, daemon.env);
      for (const name of ['root', 'kernel', 'blkback', 'loop', 'xenstored', 'daemon', 'timeout']) {
        assert.notEqual(checks.get(name)?.health, 'failed', checks.get(name)?.finding);
      }
      assert.match(checks.get('daemon')?.finding ?? '', /^version \S+ answers at /);
      const { stdout } = await fixture.cli(['doctor'], daemon.env);
      const lines = stdout.trimEnd().split('\n');
      assert.equal(lines.length, checks.size);
      assert.ok(
        lines.every((line) => /^(ok|warning|FAILED) +[a-z-]+ +\S/.test(line)),
        stdout,
      );
    }));

  it('says what to do where something is missing, with its exit status too', () =>
    withFixture(async (fixture) => {
      const env = {
        ...{ XENSTORED_PATH: '/nonexistent', XENSTORED_RUNDIR: '', XEN_BLKBACK_TIMEOUT: '60' },
        ...{ XEN_BLKBACK_SOCKET: '/nonexistent/socket', XEN_BLKBACK_SYSFS: '/nonexistent' },
      };
      const checks = await examine(fixture, env);
      assert.match(checks.get('xenstored')?.finding ?? '', /cannot reach xenstored/);
      assert.match(checks.get('blkback')?.finding ?? '', /modprobe xen-blkback/);
      assert.match(checks.get('daemon')?.finding ?? '', /systemctl enable --now xen-blkback/);
      assert.match(checks.get('timeout')?.finding ?? '', /libxl kills a script after 40 s/);
      const states = ['xenstored', 'blkback', 'daemon', 'timeout'].map(
        (name) => checks.get(name)?.health,
      );
      assert.deepEqual(states, ['failed', 'failed', 'warning', 'warning']);
      assert.equal((await fixture.cli(['doctor'], env)).status, 1);
      const bad = await examine(fixture, { XEN_BLKBACK_CONFIG: '/nonexistent.conf' });
      assert.match(bad.get('configuration')?.finding ?? '', /does not exist/);
    }));

  it('looks at scripts, the run directory, and udev rules', () =>
    withFixture(async (fixture) => {
      const place = placeOf(fixture);
      const look = async (name: string, change: Partial<Place> = {}) =>
        await CHECKS[name]?.({ ...place, ...change });
      assert.match((await look('script'))?.finding ?? '', /scripts\/block-diskseq is missing: /);
      mkdirSync(place.scripts);
      writeFileSync(join(place.scripts, 'block-diskseq'), '');
      assert.match((await look('script'))?.finding ?? '', /block-diskseq cannot be run/);
      chmodSync(join(place.scripts, 'block-diskseq'), 0o755);
      assert.equal((await look('script'))?.health, 'ok');

      chmodSync(fixture.bed.runDirectory, 0o777);
      assert.equal((await look('run-dir'))?.health, 'failed');
      chmodSync(fixture.bed.runDirectory, 0o700);
      assert.notEqual((await look('run-dir'))?.health, 'failed');

      const [etc, lib] = ['etc', 'lib'].map((name) => join(fixture.bed.directory, name));
      assert.ok(etc !== undefined && lib !== undefined);
      for (const directory of [etc, lib]) mkdirSync(directory);
      const rules = [etc, lib];
      assert.equal((await look('udev', { rules }))?.health, 'ok');
      const rule = 'RUN+="/sbin/mdadm --incremental --export $devnode"\n';
      writeFileSync(join(lib, '64-md-raid-assembly.rules'), rule);
      assert.match(
        (await look('udev', { rules }))?.finding ?? '',
        /^64-md-raid-assembly\.rules may/,
      );
      writeFileSync(join(etc, '64-md-raid-assembly.rules'), '');
      assert.equal((await look('udev', { rules }))?.health, 'ok', 'it is masked');
    }));
});
