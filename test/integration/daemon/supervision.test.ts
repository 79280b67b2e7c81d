import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, readFileSync, renameSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { pause } from '../../../src/util/retry.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { startChild, stopChild } from '../../bed/child.js';
import { runClient, startDaemonProgram } from '../../bed/daemon.js';
import { DatagramReceiver } from '../../bed/datagrams.js';
import { within } from '../../bed/deadline.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { CLI, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { closeVbd } from '../../bed/toolstack.js';
import { HotplugFixture } from '../hotplug/fixture.js';

const DAEMON = [CLI, 'daemon'];
const WITHOUT_NODE = { PATH: '/nonexistent' };

// The socket at the fixed path of the journal is a socket of the test. stderr is said to be the
// journal's, as systemd says it.
const UNDER_A_JOURNAL = `
set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/journal
touch /run/systemd/journal/socket
mount --bind "$1" /run/systemd/journal/socket
shift
JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)
export JOURNAL_STREAM
exec "$@"
`;

describe('the daemon under a service manager', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'systemd');
  });

  async function onBed(
    body: (bed: Bed, manager: DatagramReceiver, env: Record<string, string>) => Promise<void>,
  ): Promise<void> {
    await using bed = await startBed();
    const address = join(bed.directory, 'notify');
    await using manager = await DatagramReceiver.bind(address);
    await body(bed, manager, { NOTIFY_SOCKET: address });
  }

  const start = (bed: Bed, env: Record<string, string>, ...options: string[]) =>
    startDaemonProgram(bed, process.execPath, [...DAEMON, ...options], env);

  async function ask(socket: string, request: string): Promise<string> {
    return await within(30_000, 'an answer', async () => {
      const client = connect(socket);
      client.write(request);
      let reply = '';
      for await (const data of client) reply += data;
      return reply;
    });
  }

  /**
   * Waits until somebody listens at a socket, which is a moment after its file exists. Does not
   * connect, because the first client starts the daemon. 10000 is __SO_ACCEPTCON (linux/net.h).
   */
  async function isListening(socket: string, signal: AbortSignal): Promise<void> {
    const isIt = (line: string): boolean =>
      line.includes(' 00010000 ') && line.endsWith(` ${socket}`);
    while (!readFileSync('/proc/net/unix', 'utf8').split('\n').some(isIt)) await pause(10, signal);
  }

  /** Returns what a user other than root reads from a socket whose mode lets that user connect. */
  async function askAsNobody(bed: Bed, socket: string): Promise<string> {
    chmodSync(socket, 0o666);
    chmodSync(bed.directory, 0o755);
    const program =
      'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(4096).decode())';
    const args = ['--reuid=65534', '--clear-groups', '/usr/bin/python3', '-c', program, socket];
    return (await startProgram('setpriv', args, {}).ended).stdout;
  }

  it('says that it is ready when it has taken stock, not before, and when it stops', () =>
    onBed(async (bed, manager, env) => {
      bed.xenstored.kill('SIGKILL');
      const starting = start(bed, env);
      await manager.heard(/^STATUS=.*xenstored/);
      assert.ok(!manager.texts().some((text) => text.includes('READY=1')));
      await bed.xenstored.restart();
      await using daemon = await starting;
      await manager.heard(/^READY=1\nSTATUS=Serving/);
      daemon.kill('SIGTERM');
      await manager.heard(/^STOPPING=1\nSTATUS=/);
      assert.equal(await daemon.child.ended, 'exited with status 0');
    }));

  it('opens its log again at SIGHUP, and says when it has', () =>
    onBed(async (bed, manager, env) => {
      const log = join(bed.directory, 'daemon.log');
      const args = [...DAEMON, '--output', log];
      const child = await startChild(process.execPath, args, {
        stdio: 'ignore',
        env: { PATH: process.env.PATH, ...bed.env, ...env, XEN_BLKBACK_SOCKET: `${log}.sock` },
      });
      try {
        await manager.heard(/^READY=1/);
        renameSync(log, `${log}.1`);
        const before = manager.received.length;
        child.process.kill('SIGHUP');
        await manager.heard(/^READY=1$/, before);
        const [reloading, ready] = manager.texts().slice(before);
        assert.match(reloading ?? '', /^RELOADING=1\nMONOTONIC_USEC=\d+$/);
        assert.equal(ready, 'READY=1');
        assert.match(readFileSync(`${log}.1`, 'utf8'), /: ready, at /);
        assert.match(readFileSync(log, 'utf8'), /^[^\n]*SIGHUP: the log is open\n$/);
      } finally {
        await stopChild(child);
      }
    }));

  it('goes on when nobody reads any more what it says', () =>
    onBed(async (bed, manager, env) => {
      await using daemon = await start(bed, env);
      await manager.heard(/^READY=1/);
      daemon.child.process.stderr?.destroy();
      for (let time = 0; time < 3; time++) {
        const before = manager.received.length;
        daemon.kill('SIGHUP');
        await manager.heard(/^READY=1$/, before);
      }
      assert.equal(daemon.child.end(), undefined);
    }));

  it('gives signs of life while xenstored answers, and none while it hangs', () =>
    onBed(async (bed, manager, env) => {
      await using _daemon = await start(bed, { ...env, WATCHDOG_USEC: '600000' });
      const alive = () => manager.texts().filter((text) => text === 'WATCHDOG=1').length;
      for (let sign = 0; sign < 3; sign++) {
        await manager.heard(/^WATCHDOG=1$/, manager.received.length);
      }
      bed.xenstored.kill('SIGSTOP');
      await pause(300);
      const then = alive();
      await pause(700);
      assert.equal(alive(), then);
      bed.xenstored.kill('SIGCONT');
      await manager.heard(/^WATCHDOG=1$/, manager.received.length);
    }));

  it('gives none that nobody wants', () =>
    onBed(async (bed, manager, env) => {
      await using _daemon = await start(bed, {
        ...env,
        WATCHDOG_USEC: '200000',
        WATCHDOG_PID: '1',
      });
      await manager.heard(/^READY=1/);
      await pause(500);
      assert.ok(!manager.texts().includes('WATCHDOG=1'));
    }));

  it('tells the journal what happens to a vbd, in fields', () =>
    onBed(async (bed, manager, env) => {
      await using store = await openStore(bed);
      await using journal = await DatagramReceiver.bind(join(bed.directory, 'journal'));
      const fixture = new HotplugFixture(bed, store);
      const command = [process.execPath, ...DAEMON];
      const args = ['--mount', '/bin/sh', '-c', UNDER_A_JOURNAL, 'sh', `${bed.directory}/journal`];
      const socket = join(bed.directory, 'control.sock');
      const child = await startChild('unshare', [...args, ...command], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { PATH: process.env.PATH, ...bed.env, ...env, XEN_BLKBACK_SOCKET: socket },
      });
      let plain = '';
      child.process.stderr?.on('data', (data) => {
        plain += data;
      });
      try {
        await manager.heard(/^READY=1/);
        const vbd = await fixture.vbd(fixture.image());
        const client = { ...bed.env, XEN_BLKBACK_SOCKET: socket, ...WITHOUT_NODE };
        assert.equal((await runClient(client, vbd, 'add')).status, 0);
        const attached = await journal.heard(/^XEN_BLKBACK_STEP=attached$/m);
        for (const field of [
          /^MESSAGE=7\/51712: attached: \/dev\/loop\d+, /m,
          /^PRIORITY=6$/m,
          /^SYSLOG_FACILITY=3$/m,
          /^SYSLOG_IDENTIFIER=xen-blkback$/m,
          /^XEN_BLKBACK_BACKEND=backend\/vbd\/7\/51712$/m,
          /^XEN_BLKBACK_DOMID=7$/m,
          /^XEN_BLKBACK_DEVICE=\/dev\/loop\d+$/m,
          /^DISKSEQ=[1-9]\d*$/m,
        ]) {
          assert.match(attached, field);
        }
        const bad = await fixture.vbd('/nonexistent/image');
        assert.equal((await runClient(client, bad, 'add')).status, 1);
        const failed = await journal.heard(/^XEN_BLKBACK_CODE=ENOENT$/m);
        assert.match(failed, /^PRIORITY=3$/m);
        assert.match(failed, /^ERRNO=2$/m);
        assert.match(readFileSync(bed.logFile, 'utf8'), /\/nonexistent\/image/);
        assert.equal(plain, '', 'nothing twice');
      } finally {
        await stopChild(child, 12_000);
      }
    }));

  it('can do its work with the capabilities that its unit leaves it', () =>
    onBed(async (bed, _manager, env) => {
      await using store = await openStore(bed);
      const fixture = new HotplugFixture(bed, store);
      const unit = readFileSync(join(projectRoot, 'install/systemd/common.conf'), 'utf8');
      const [, list = ''] = /^CapabilityBoundingSet=(.*)$/m.exec(unit) ?? [];
      const set = list.split(' ').map((name) => `+${name.replace('CAP_', '').toLowerCase()}`);
      assert.ok(set.length > 1);
      const caps = ['--no-new-privs', '--inh-caps=-all', `--bounding-set=-all,${set.join(',')}`];
      const command = [...caps, process.execPath, ...DAEMON];
      await using daemon = await startDaemonProgram(bed, 'setpriv', command, env);
      const status = readFileSync(`/proc/${daemon.child.pid}/status`, 'utf8');
      assert.match(status, /^NoNewPrivs:\t1$/m);
      const [, effective = ''] = /^CapEff:\t([0-9a-f]+)$/m.exec(status) ?? [];
      assert.equal(
        Number.parseInt(effective, 16).toString(2).replaceAll('0', '').length,
        set.length,
      );
      // The file belongs to another user, and only that user may read it.
      const image = fixture.image();
      chownSync(image, 65534, 65534);
      chmodSync(image, 0o600);
      const vbd = await fixture.vbd(image);
      const client = { ...daemon.env, ...WITHOUT_NODE };
      const added = await runClient(client, vbd, 'add');
      assert.deepEqual([added.status, added.stderr], [0, '']);
      await closeVbd(store, vbd);
      assert.equal((await runClient(client, vbd, 'remove')).status, 0);
    }));

  it('is started by its first client where systemd listens for it, and serves that one', () =>
    onBed(async (bed, manager, env) => {
      await using store = await openStore(bed);
      const fixture = new HotplugFixture(bed, store);
      const socket = join(bed.directory, 'control.sock');
      const notify = env.NOTIFY_SOCKET ?? '';
      const log = join(bed.directory, 'daemon.log');
      const activator = await startChild(
        'systemd-socket-activate',
        [
          ...['-l', socket, '-E', `NOTIFY_SOCKET=${notify}`, '-E', `XEN_BLKBACK_OUTPUT=${log}`],
          ...Object.entries(bed.env).flatMap(([name, value]) => ['-E', `${name}=${value}`]),
          ...[process.execPath, ...DAEMON],
        ],
        { stdio: 'ignore', env: { PATH: process.env.PATH } },
      );
      try {
        await within(5000, 'the socket', (signal) => isListening(socket, signal));
        const other = '/etc/xen/scripts/other';
        const vbd = await fixture.vbd(fixture.image(), { script: other });
        assert.deepEqual(manager.texts(), [], 'no daemon yet');
        // If the start took longer than a client waits, the client would do the work itself.
        const reply = await ask(socket, `xen-blkback 1 add ${vbd.backendPath}\n`);
        assert.match(reply, /^accepted 30000\n(ok|unavailable)\n$/);
        await manager.heard(/^READY=1/);
        // The daemon has no setting that says where clients ask.
        const notice = `clients ask at /run/xen-blkback/control.sock, and this daemon has been given the socket ${socket}: `;
        assert.equal(readFileSync(log, 'utf8').split(notice).length, 2);
        const client = { ...bed.env, XEN_BLKBACK_SOCKET: socket, ...WITHOUT_NODE };
        assert.equal((await runClient(client, vbd, 'add')).status, 0);
        assert.equal(fixture.events(vbd, 'opened').length, 1);
        await closeVbd(store, vbd);
        assert.equal((await runClient(client, vbd, 'remove')).status, 0);
        assert.match(await askAsNobody(bed, socket), /^failed EACCES only root may ask/);
        // The process of the activator has become the daemon.
        activator.process.kill('SIGTERM');
        assert.equal(await activator.ended, 'exited with status 0');
        assert.ok(existsSync(socket), 'the socket is not the daemon’s to remove');
        assert.ok(statSync(socket).isSocket());
      } finally {
        await stopChild(activator, 12_000);
      }
    }));
});
