import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type Bed, startBed } from '../../bed/bed.js';
import { attachLoop, makeImage } from '../../bed/images.js';
import { Destdir } from '../../bed/installed.js';
import { createMapped, linear } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { libxlEnvironment, type Run } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { Systemd } from '../../bed/systemd.js';
import { closeVbd, type Vbd } from '../../bed/toolstack.js';
import { HotplugFixture } from '../hotplug/fixture.js';

const SERVICE = 'xen-blkback.service';
const SOCKET = '/run/xen-blkback/control.sock';
/** There is no Xen here, and the watchdog's usual minute would be too long. */
const CONDITION = '[Unit]\nConditionPathExists=\nConditionPathExists=/proc\n';
const DROP_INS = {
  'xen-blkback.socket.d/bed.conf': CONDITION,
  [`${SERVICE}.d/bed.conf`]: `${CONDITION}[Service]\nWatchdogSec=10\n`,
};

describe('the units under a real systemd', function () {
  this.timeout(600_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'overlay', 'systemd', 'mapper');
  });

  async function onSystemd(
    body: (systemd: Systemd, fixture: HotplugFixture, bed: Bed) => Promise<void>,
  ): Promise<void> {
    using destdir = new Destdir();
    await destdir.install();
    await using bed = await startBed();
    const { XEN_BLKBACK_SYSFS: sysfs, XEN_BLKBACK_LOG: log } = bed.env;
    writeFileSync(destdir.at('/etc/xen/xen-blkback.conf'), `sysfs=${sysfs}\nlog=${log}\n`);
    await using store = await openStore(bed);
    const { XENSTORED_PATH, XENSTORED_RUNDIR } = bed.env;
    const places = Object.entries({ XENSTORED_PATH, XENSTORED_RUNDIR }).flatMap(([name, value]) =>
      value === undefined ? [] : [`Environment=${name}=${value}\n`],
    );
    await using systemd = await Systemd.start(destdir, {
      ...DROP_INS,
      [`${SERVICE}.d/store.conf`]: `[Service]\n${places.join('')}`,
    });
    await body(systemd, new HotplugFixture(bed, store), bed);
  }

  function script(systemd: Systemd, bed: Bed, vbd: Vbd, action: string): Promise<Run> {
    const { XEN_BLKBACK_RUN_DIR: _, ...settings } = bed.env;
    const env = { ...settings, ...libxlEnvironment(vbd.backendPath) };
    return systemd.runWith(env, '/etc/xen/scripts/block-diskseq', action);
  }

  /** Returns what the daemon has written to the journal about a vbd. */
  async function journalOf(systemd: Systemd, vbd: Vbd): Promise<string> {
    const query = ['-o', 'export', '-u', SERVICE, `XEN_BLKBACK_BACKEND=${vbd.backendPath}`];
    return (await systemd.run('journalctl', ...query)).stdout;
  }

  it('start the daemon for its first client, watch over it, confine it, and keep its journal', () =>
    onSystemd(async (systemd, fixture, bed) => {
      assert.equal(await systemd.property(SERVICE, 'ActiveState'), 'inactive');
      const first = await fixture.vbd(fixture.image());
      // The script may be quicker than the start of the daemon, and do the work itself.
      const added = await script(systemd, bed, first, 'add');
      assert.deepEqual([added.status, added.stderr], [0, '']);
      await systemd.reaches(SERVICE, 'ActiveState', /^active$/);
      assert.match(await systemd.property(SERVICE, 'StatusText'), /^Serving/);

      const pid = await systemd.property(SERVICE, 'MainPID');
      const { stdout: status } = await systemd.run('cat', `/proc/${pid}/status`);
      assert.match(status, /^NoNewPrivs:\t1$/m);
      assert.match(status, /^Seccomp:\t2$/m);
      assert.match(status, /^CapBnd:\t0000000018280003$/m);
      const namespace = async (of: string) =>
        (await systemd.run('readlink', `/proc/${of}/ns/mnt`)).stdout;
      assert.equal(await namespace(pid), await namespace('1'));

      const second = await fixture.vbd(fixture.image());
      assert.equal((await script(systemd, bed, second, 'add')).status, 0);
      const bad = await fixture.vbd('/nonexistent/image');
      assert.equal((await script(systemd, bed, bad, 'add')).status, 1);
      const query = ['-o', 'json', '-u', SERVICE, 'XEN_BLKBACK_DOMID=7'];
      const { stdout: lines } = await systemd.run('journalctl', ...query);
      const entries = lines
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, string>);
      const attached = entries.find(
        (entry) =>
          entry.XEN_BLKBACK_STEP === 'attached' && entry.XEN_BLKBACK_BACKEND === second.backendPath,
      );
      assert.match(attached?.DISKSEQ ?? '', /^\d+$/);
      assert.equal(attached?._PID, pid);
      assert.ok(entries.some((entry) => entry.XEN_BLKBACK_CODE === 'ENOENT'));

      // The daemon's confinement lets it use device-mapper too.
      for (const layer of ['linear', 'crypt']) {
        const layered = await fixture.vbd(`path=${fixture.image()},layer=${layer}`);
        const run = await script(systemd, bed, layered, 'add');
        assert.deepEqual([run.status, run.stderr], [0, ''], layer);
        assert.equal(fixture.events(layered, 'opened').length, 1);
        assert.match(await journalOf(systemd, layered), /^XEN_BLKBACK_STEP=attached$/m);
        await closeVbd(fixture.store, layered);
        assert.equal((await script(systemd, bed, layered, 'remove')).status, 0);
      }

      // The daemon sees a process that has a mapper device open, and does not take it for the
      // blkback of a guest.
      {
        await using disk = await attachLoop(makeImage(bed.directory, { marker: 'held' }));
        await using mapped = await createMapped('bench-held', linear(disk.path));
        const input = `--property=StandardInput=file:${mapped.path}`;
        const held = await systemd.run('systemd-run', '--unit=held', input, 'sleep', '600');
        assert.equal(held.status, 0, held.stderr);
        const vbd = await fixture.vbd(`dm-name=${mapped.name}`);
        const run = await script(systemd, bed, vbd, 'add');
        assert.deepEqual([run.status, run.stderr], [0, '']);
        assert.match(await journalOf(systemd, vbd), /^XEN_BLKBACK_STEP=attached$/m);
        await closeVbd(fixture.store, vbd);
        assert.equal((await script(systemd, bed, vbd, 'remove')).status, 0);
        assert.equal((await systemd.run('systemctl', 'stop', 'held')).status, 0);
      }

      assert.equal((await systemd.run('systemctl', 'reload', SERVICE)).status, 0);
      await systemd.reaches(SERVICE, 'ActiveState', /^active$/);

      await systemd.run('kill', '-STOP', pid);
      await systemd.reaches(SERVICE, 'NRestarts', /^[1-9]/);
      await systemd.reaches(SERVICE, 'ActiveState', /^active$/);
      assert.notEqual(await systemd.property(SERVICE, 'MainPID'), pid);

      await closeVbd(fixture.store, second);
      assert.equal((await script(systemd, bed, second, 'remove')).status, 0);
      assert.equal((await systemd.run('systemctl', 'stop', SERVICE)).status, 0);
      assert.match(await systemd.property(SERVICE, 'Result'), /^success$/);
      const listening = await systemd.run('stat', '-c', '%A', SOCKET);
      assert.equal(listening.stdout, 'srw-------\n', 'the socket is there for the next client');
      assert.ok(readFileSync(bed.logFile, 'utf8').includes('/nonexistent/image'));
    }));
});
