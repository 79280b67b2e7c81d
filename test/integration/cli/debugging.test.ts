import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { startProgram } from '../../bed/script.js';
import { withFixture } from './cli-bed.js';

describe('Debugging', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('XEN_BLKBACK_VERBOSE has what a toolstack runs print its steps, and log them', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const { status, stderr } = await fixture.script(vbd, 'add', { XEN_BLKBACK_VERBOSE: 'yes' });
      assert.equal(status, 0, stderr);
      const log = readFileSync(fixture.bed.logFile, 'utf8');
      for (const step of ['planned', 'opened', 'published', 'connected']) {
        assert.match(stderr, new RegExp(`^ +[\\d.]+ ms  ${step} `, 'm'));
        assert.match(log, new RegExp(`Z xen-blkback\\[\\d+\\]: ${vbd.backendPath}: .* ${step} `));
      }
      const quiet = await fixture.script(vbd, 'add');
      assert.deepEqual([quiet.status, quiet.stderr], [0, '']);
    }));

  it('XEN_BLKBACK_TRACE tells each packet and each system call that may wait', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const trace = join(fixture.bed.directory, 'trace');
      const { status, stderr } = await fixture.script(vbd, 'add', { XEN_BLKBACK_TRACE: trace });
      assert.deepEqual([status, stderr], [0, '']);
      assert.equal(statSync(trace).mode & 0o777, 0o600);
      const text = readFileSync(trace, 'utf8');
      const line = (pattern: string) =>
        new RegExp(`^[\\dT:.-]+Z xen-blkback\\[\\d+\\] ${pattern}`, 'm');
      for (const pattern of [
        `xenstore > \\d+ read ${vbd.backendPath}/params$`,
        `xenstore < \\d+ read ${fixture.bed.images}`,
        `xenstore > \\d+ write ${vbd.backendPath}/physical-device\\|7:`,
        'LOOP_CONFIGURE /dev/loop\\d+: 0 \\([\\d.]+ ms\\)$',
      ]) {
        assert.match(text, line(pattern));
      }
      const told = await fixture.cli(['list'], { XEN_BLKBACK_TRACE: 'stderr' });
      assert.match(told.stderr, line('xenstore > '));
      assert.match(told.stdout, /^VBD/);
    }));

  it('the daemon says when it says something, where no journal does', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      assert.match(daemon.said(), /^\d{4}-\d\d-\d\dT[\d:.]+Z xen-blkback daemon: ready/);
    }));

  it('metrics go whole into a file that node-exporter reads', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      const file = join(fixture.bed.directory, 'xen-blkback.prom');
      for (let times = 0; times < 2; times++) {
        const run = await fixture.cli(['metrics', '--output', file], daemon.env);
        assert.deepEqual([run.status, run.stdout, run.stderr], [0, '', '']);
      }
      assert.match(readFileSync(file, 'utf8'), /^xen_blkback_xenstore_connected 1$/m);
      assert.equal(statSync(file).mode & 0o777, 0o644);
      const lost = await fixture.cli(['metrics', '--output', '/nonexistent/x.prom'], daemon.env);
      assert.equal(lost.status, 1);
      assert.match(lost.stderr, /write \/nonexistent\/x\.prom: no such file/);
    }));

  it('the client in the documentation follows events', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      const page = readFileSync(join(projectRoot, 'docs/control-socket.md'), 'utf8');
      const [, program = ''] = /```python\n(.*?)```/s.exec(page) ?? [];
      assert.ok(program.trim().split('\n').length <= 10);
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await runClient(daemon.env, vbd, 'add')).status, 0);
      const client = startProgram('python3', ['-c', program, daemon.socket], {});
      let said = '';
      const heard = new Promise<void>((resolve) => {
        client.process.stdout?.on('data', (text) => {
          said += text;
          if (said.split('\n').length === 3) resolve();
        });
      });
      await new Promise((resolve) => client.process.stdout?.once('data', resolve));
      await fixture.vbd('/nonexistent');
      await heard;
      await daemon.stop();
      assert.equal((await client.ended).status, 0);
      assert.match(
        said,
        /^backend\/vbd\/7\/51712 attached \/dev\/loop\d+\n.*51728 failed open \/n/,
      );
    }));
});
