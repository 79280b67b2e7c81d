import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import { CLI, startProgram } from '../../bed/script.js';
import { withFixture } from './cli-bed.js';

const cli = (env: Readonly<Record<string, string>>, ...words: string[]) =>
  startProgram(process.execPath, [CLI, ...words], env).ended;

describe('The daemon, asked about itself', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('tells what it has done, what has failed last, and what is open', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      const good = await fixture.vbd(fixture.image());
      assert.equal((await runClient(daemon.env, good, 'add')).status, 0);
      const bad = await fixture.vbd('/nonexistent/image');
      assert.equal((await runClient(daemon.env, bad, 'add')).status, 1);
      const run = await cli(daemon.env, 'status', '--json');
      assert.equal(run.status, 0, run.stderr);
      const status = assertSchema('status', run.stdout);
      assert.deepEqual(
        [status.connected, status.connections, status.attached, status['open-vbds']],
        [true, 1, 1, 1],
      );
      assert.equal(status.running, 0);
      assert.equal(status.pid, daemon.child.pid);
      // The daemon has prepared this vbd unasked, and has tried again when the script asked.
      assert.ok(Number(status.failed) >= 1);
      const failure = status['last-failure'] as Record<string, string>;
      assert.deepEqual([failure.backend, failure.code], [bad.backendPath, 'ENOENT']);
      const { stdout } = await cli(daemon.env, 'status');
      assert.match(stdout, /^xenstored +answers$/m);
      assert.match(stdout, /^last failure .*add failed: open \/nonexistent\/image: no such file/m);
    }));

  it('tells that xenstored is gone, with its exit status too, and that it has connected again', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      fixture.bed.xenstored.kill('SIGKILL');
      await daemon.says(/connecting again/);
      const gone = await cli(daemon.env, 'status');
      assert.equal(gone.status, 1);
      assert.match(gone.stdout, /^xenstored +does not answer$/m);
      const metrics = await cli(daemon.env, 'metrics');
      assert.match(metrics.stdout, /^xen_blkback_xenstore_connected 0$/m);
      await fixture.bed.xenstored.restart();
      await daemon.says(/: ready/, 2);
      const back = JSON.parse((await cli(daemon.env, 'status', '--json')).stdout);
      assert.deepEqual([back.connected, back.connections], [true, 2]);
    }));

  it('gives OpenMetrics text that counts attaches, detaches and failures by code', () =>
    withFixture(async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await runClient(daemon.env, vbd, 'add')).status, 0);
      const bad = await fixture.vbd('/nonexistent/image');
      assert.equal((await runClient(daemon.env, bad, 'add')).status, 1);
      await fixture.close(vbd);
      assert.equal((await runClient(daemon.env, vbd, 'remove')).status, 0);
      const { status, stdout, stderr } = await cli(daemon.env, 'metrics');
      assert.deepEqual([status, stderr], [0, '']);
      for (const line of [
        /^xen_blkback_attach_seconds_count 1$/m,
        /^xen_blkback_detach_seconds_count 1$/m,
        /^xen_blkback_attach_seconds_bucket\{le="\+Inf"\} 1$/m,
        /^xen_blkback_failures_total\{action="add",code="ENOENT"\} [1-9]$/m,
        /^xen_blkback_open_vbds 0$/m,
        /^xen_blkback_build_info\{version="\d[^"]*"\} 1$/m,
        /\n# EOF\n$/,
      ]) {
        assert.match(stdout, line);
      }
    }));

  it('leaves what is no regular file, be it as the file for metrics or as its socket', () =>
    withFixture(async (fixture) => {
      const { directory } = fixture.bed;
      const [fifo, file, socket] = ['fifo', 'file', 'other.sock'].map((name) =>
        join(directory, name),
      );
      assert.ok(fifo && file && socket);
      execFileSync('mkfifo', [fifo]);
      writeFileSync(file, 'mine');
      await using daemon = await startDaemon(fixture.bed);
      for (const path of [fifo, directory]) {
        const run = await cli(daemon.env, 'metrics', '--output', path);
        assert.equal(run.status, 2);
        const says = `xen-blkback: output "${path}": it is there, and is no regular file\n`;
        assert.equal(run.stderr, says);
      }
      assert.ok(statSync(fifo).isFIFO());
      assert.equal((await cli(daemon.env, 'metrics', '--output', file)).status, 0);
      assert.match(readFileSync(file, 'utf8'), /^xen_blkback_open_vbds 0$/m);
      for (const path of [fifo, file, directory]) {
        const run = await cli({ ...daemon.env, XEN_BLKBACK_SOCKET: path }, 'daemon');
        assert.equal(run.status, 3);
        assert.match(
          run.stderr,
          / is there and is no socket: move it away, or set another socket$/m,
        );
      }
      assert.ok(statSync(file).isFile() && statSync(fifo).isFIFO());
      const silent = await cli(
        { ...daemon.env, XEN_BLKBACK_SOCKET: socket },
        ...['daemon', '--output', fifo],
      );
      assert.equal(silent.status, 1);
      assert.match(silent.stderr, /: open .*fifo: no such device or address \(ENXIO\)$/m);
    }));

  it('loses no event without a word where the output cannot be written', () =>
    withFixture(async (fixture) => {
      await fixture.create('/nowhere');
      await using daemon = await startDaemon(fixture.bed, '--scripts', 'none');
      const env = { ...process.env, ...daemon.env };
      for (const [words, to] of [
        ['events', '/dev/full'],
        ['events --json', '/dev/full'],
      ]) {
        const script = `exec '${CLI}' ${words} > ${to}`;
        const run = spawnSync('sh', ['-c', script], { env, encoding: 'utf8', timeout: 10_000 });
        assert.equal(run.status, 1, run.stderr);
        assert.match(run.stderr, /^xen-blkback: the output cannot be written: ENOSPC/);
      }
    }));

  it('tells of a vbd without driving the terminal by its target', () =>
    withFixture(async (fixture) => {
      await fixture.create('/nowhere\u001b[2J\u009b2J');
      await using daemon = await startDaemon(fixture.bed, '--scripts', 'none');
      for (const words of ['events --json', 'events']) {
        const run = spawnSync('sh', ['-c', `exec '${CLI}' ${words}`], {
          env: { ...process.env, ...daemon.env },
          encoding: 'utf8',
          timeout: 2000,
          killSignal: 'SIGINT',
        });
        assert.match(run.stdout, /51712/);
        assert.doesNotMatch(run.stdout, /(?!\n)\p{Cc}/u);
      }
    }));

  it('is missed with a sentence where there is none, or one that does not know the question', () =>
    withFixture(async (fixture) => {
      const socket = join(fixture.bed.directory, 'none.sock');
      const env = { ...fixture.bed.env, XEN_BLKBACK_SOCKET: socket };
      for (const command of ['status', 'metrics']) {
        const { status, stdout, stderr } = await cli(env, command);
        assert.deepEqual([status, stdout], [1, '']);
        assert.match(stderr, /no daemon answers at .*none\.sock .*is xen-blkback daemon running\?/);
      }
      const old = createServer((client) => {
        client.once('data', () => client.end('failed EPROTOCOL add PATH is needed\n'));
      });
      await within(5000, 'a server', () => new Promise<void>((done) => old.listen(socket, done)));
      try {
        const { status, stderr } = await cli(env, 'status');
        assert.equal(status, 1);
        assert.match(stderr, /does not know the question status: it is of an older version/);
      } finally {
        old.close();
      }
    }));
});
