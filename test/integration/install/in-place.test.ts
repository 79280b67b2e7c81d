import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { startBed } from '../../bed/bed.js';
import { loopsLeft } from '../../bed/images.js';
import {
  Destdir,
  inPlace,
  runInstalledCommand,
  runInstalledScript,
  startInstalledDaemon,
} from '../../bed/installed.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { closeVbd } from '../../bed/toolstack.js';
import { HotplugFixture, MARKER } from '../hotplug/fixture.js';

describe('what is installed, in its place and without the checkout', function () {
  this.timeout(60_000);
  let destdir: Destdir;
  before(async function () {
    needs(this, 'root', 'loop', 'xenstored', 'overlay');
    destdir = new Destdir();
    await destdir.install();
  });
  after(() => destdir?.[Symbol.dispose]());

  async function withFixture(body: (fixture: HotplugFixture) => Promise<void>): Promise<void> {
    await using bed = await startBed();
    await using store = await openStore(bed);
    await body(new HotplugFixture(bed, store));
  }

  it('is really alone there', async () => {
    const [file, args] = inPlace(destdir, '/bin/ls', '-A', projectRoot);
    const { status, stdout } = await startProgram(file, args, {}).ended;
    assert.deepEqual([status, stdout], [0, '']);
  });

  it('attaches and detaches through the script, without a daemon', () =>
    withFixture(async (fixture) => {
      const { bed } = fixture;
      const vbd = await fixture.vbd(fixture.image());
      const added = await runInstalledScript(destdir, bed.env, vbd, 'add');
      assert.deepEqual([added.status, added.stdout, added.stderr], [0, '', '']);
      assert.ok(fixture.events(vbd, 'opened')[0]?.bytes?.startsWith(MARKER));
      await closeVbd(fixture.store, vbd);
      const removed = await runInstalledScript(destdir, bed.env, vbd, 'remove');
      assert.deepEqual([removed.status, removed.stderr], [0, '']);
      assert.deepEqual(await loopsLeft(bed.images), []);
    }));

  it('attaches and detaches through the script and the daemon', () =>
    withFixture(async (fixture) => {
      const { bed } = fixture;
      using own = new Destdir();
      await own.install();
      await using daemon = await startInstalledDaemon(own, bed);
      // The script cannot do the work itself without its program.
      rmSync(own.at('/usr/lib/xen-blkback/dist/block-diskseq.cjs'));
      const vbd = await fixture.vbd(fixture.image());
      const added = await runInstalledScript(own, daemon.env, vbd, 'add');
      assert.deepEqual([added.status, added.stdout, added.stderr], [0, '', '']);
      assert.ok(fixture.events(vbd, 'opened')[0]?.bytes?.startsWith(MARKER));
      await closeVbd(fixture.store, vbd);
      const removed = await runInstalledScript(own, daemon.env, vbd, 'remove');
      assert.deepEqual([removed.status, removed.stderr], [0, '']);
      assert.deepEqual(await loopsLeft(bed.images), []);
    }));

  it('reads the settings file of an earlier version, and names it as deprecated once', () =>
    withFixture(async ({ bed }) => {
      using own = new Destdir();
      await own.install();
      mkdirSync(own.at('/etc/default'), { recursive: true });
      writeFileSync(own.at('/etc/default/xen-blkback'), 'XEN_BLKBACK_SCRIPTS=block-diskseq,mine\n');
      const { status, stdout, stderr } = await runInstalledCommand(own, bed, 'config');
      assert.equal(status, 0);
      assert.match(stdout, /^scripts +block-diskseq,mine +\/etc\/default\/xen-blkback line 1$/m);
      const notice =
        '/etc/default/xen-blkback is deprecated: write scripts=block-diskseq,mine into /etc/xen/xen-blkback.conf, then remove it';
      assert.equal(stderr, `xen-blkback: ${notice}\n`);
      await using daemon = await startInstalledDaemon(own, bed);
      assert.equal(daemon.said().split(notice).length, 2);
      writeFileSync(own.at('/etc/xen/xen-blkback.conf'), 'scripts=other\n');
      const after = await runInstalledCommand(own, bed, 'config');
      assert.match(after.stdout, /^scripts +other +\/etc\/xen\/xen-blkback\.conf line 1$/m);
    }));

  it('has a command that lists what is attached', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      assert.equal((await runInstalledScript(destdir, fixture.bed.env, vbd, 'add')).status, 0);
      const { status, stdout } = await runInstalledCommand(destdir, fixture.bed, 'list');
      assert.equal(status, 0);
      assert.match(stdout, new RegExp(`^${vbd.key} .*yes`, 'm'));
    }));

  it('fails with one sentence where its Node.js is not there', () =>
    withFixture(async (fixture) => {
      using other = new Destdir();
      await other.install('--node', '/opt/there-is/no/node');
      const vbd = await fixture.vbd(fixture.image());
      const { status, stderr } = await runInstalledScript(other, fixture.bed.env, vbd, 'add');
      assert.equal(status, 1);
      assert.match(stderr, /^block-diskseq: cannot run \/opt\/there-is\/no\/node: .*\n$/);
    }));
});
