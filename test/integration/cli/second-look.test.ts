import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { collectHostState } from '../../../src/audit/collect-host-state.js';
import { findFaults } from '../../../src/audit/find-faults.js';
import type { Repair } from '../../../src/audit/finding.js';
import { repair } from '../../../src/audit/repair.js';
import { parseDevnum } from '../../../src/linux/devnum.js';
import { markPendingOpen } from '../../../src/sharing/pending-opens.js';
import { writeRecord } from '../../../src/vbd/record.js';
import { vbdPath } from '../../../src/vbd/vbd-path.js';
import { attachLoop, diskseqOf, sysfsAttribute } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import type { Vbd } from '../../bed/toolstack.js';
import { runXenBlock } from '../../bed/xen-block.js';
import { type HotplugFixture, parse } from '../hotplug/fixture.js';
import { withFixture } from './cli-bed.js';

/** What `gc` does between its look and its step, where something happens in between. */
describe('A repair of gc looks again', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  const options = ({ bed, blkback }: HotplugFixture) => ({
    timeoutMs: 4000,
    sysfs: blkback.sysfs,
    runDirectory: bed.runDirectory,
  });

  function onlyLoop(fixture: HotplugFixture): string {
    const [loop, ...more] = fixture.loops();
    assert.ok(loop !== undefined && more.length === 0);
    return loop;
  }

  async function repairOf(fixture: HotplugFixture, kind: string): Promise<Repair> {
    const state = await collectHostState(
      fixture.store,
      { ...options(fixture), scripts: ['block-diskseq'] },
      {},
    );
    const ours = { ...state, loops: [] };
    const found = findFaults(ours).find((finding) => finding.kind === kind);
    assert.ok(found?.repair, `${kind} is not found`);
    return found.repair;
  }

  async function refused(fixture: HotplugFixture, wanted: Repair, code: string): Promise<void> {
    const outcome = repair(fixture.store, wanted, options(fixture));
    await assert.rejects(outcome, (error: Error & { code?: string }) => {
      assert.equal(error.code, code, error.stack ?? '');
      return true;
    });
  }

  async function closed(fixture: HotplugFixture): Promise<Vbd> {
    const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
    await fixture.attach(vbd);
    await fixture.close(vbd);
    await fixture.logged(vbd, 'closed');
    return vbd;
  }

  /** Deletes the nodes of an attached vbd, and returns the vbd with the repair of its record. */
  async function gone(fixture: HotplugFixture): Promise<{ vbd: Vbd; wanted: Repair }> {
    const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
    await fixture.attach(vbd);
    await fixture.delete(vbd);
    return { vbd, wanted: await repairOf(fixture, 'record-left') };
  }

  /** Announces that blkback may open a loop device for domain 9. */
  async function mayOpen({ bed }: HotplugFixture, path: string) {
    const devnum = parseDevnum(sysfsAttribute(path, 'dev'));
    assert.ok(devnum);
    const mark = await markPendingOpen(bed.runDirectory, vbdPath(9, 1), { devnum, writable: true });
    return { devnum, mark };
  }

  it('and leaves a vbd that was made anew under the same path, with all its nodes', () =>
    withFixture(async (fixture) => {
      const vbd = await closed(fixture);
      const wanted = await repairOf(fixture, 'not-open');
      await fixture.store.write(`${vbd.backendPath}/state`, '2');
      await fixture.store.write(`${vbd.backendPath}/online`, '1');
      const before = await fixture.directory(vbd);
      await refused(fixture, wanted, 'ERACE');
      assert.deepEqual(await fixture.directory(vbd), before);
      assert.equal(fixture.loops().length, 1);
    }));

  it('and leaves a vbd that names another device by now', () =>
    withFixture(async (fixture) => {
      const vbd = await closed(fixture);
      const wanted = await repairOf(fixture, 'not-open');
      await fixture.store.write(`${vbd.backendPath}/diskseq`, '1');
      const before = await fixture.directory(vbd);
      await refused(fixture, wanted, 'ERACE');
      assert.deepEqual(await fixture.directory(vbd), before);
    }));

  it('and leaves a loop device that a process has opened since', () =>
    withFixture(async (fixture) => {
      const vbd = await closed(fixture);
      const wanted = await repairOf(fixture, 'not-open');
      const loop = onlyLoop(fixture);
      const fd = openSync(loop, 'r');
      const holder = spawn('sleep', ['60'], { stdio: [fd, 'ignore', 'ignore'] });
      closeSync(fd);
      await once(holder, 'spawn');
      try {
        const before = await fixture.directory(vbd);
        await refused(fixture, wanted, 'EHELD');
        assert.deepEqual(await fixture.directory(vbd), before);
        const autoclear = readFileSync(`/sys/block/${basename(loop)}/loop/autoclear`, 'utf8');
        assert.equal(autoclear.trim(), '0');
      } finally {
        holder.kill('SIGKILL');
      }
    }));

  it('and leaves a loop device that blkback may open by now, as only a lock says', () =>
    withFixture(async (fixture) => {
      const backingFile = fixture.image();
      await using file = await attachLoop(backingFile);
      const { devnum, mark } = await mayOpen(fixture, file.path);
      await using _mark = mark;
      const diskseq = BigInt(diskseqOf(file.path));
      const loop = { path: file.path, devnum, diskseq, backingFile, autoclear: false };
      await refused(fixture, { action: 'clear-loop', loop }, 'EHELD');
      assert.deepEqual(fixture.loops(), [file.path]);
    }));

  it('and leaves what an add has published that is still under way', () =>
    withFixture(async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      const devnum = parseDevnum(sysfsAttribute(loop.path, 'dev'));
      assert.ok(devnum);
      // The disk has got a new sequence number since its publication.
      const vbd = await fixture.vbd(loop.path);
      await fixture.blkback.hold('events', vbd.key);
      await fixture.store.write(`${vbd.backendPath}/diskseq`, '1');
      await fixture.store.write(`${vbd.backendPath}/physical-device`, loop.devnum);
      const wanted = await repairOf(fixture, 'diskseq-differs');
      const before = await fixture.directory(vbd);
      const { runDirectory } = fixture.bed;
      const mark = await markPendingOpen(runDirectory, parse(vbd), { devnum, writable: true });
      await refused(fixture, wanted, 'EHELD').finally(() => mark.close());
      assert.deepEqual(await fixture.directory(vbd), before);
      await repair(fixture.store, wanted, options(fixture));
      assert.equal(await fixture.node(vbd, 'physical-device'), undefined);
    }));

  it('and leaves a record whose vbd is there again', () =>
    withFixture(async (fixture) => {
      const { vbd, wanted } = await gone(fixture);
      await fixture.create('/another', { devid: parse(vbd).devid });
      await refused(fixture, wanted, 'ERACE');
      assert.equal(fixture.loops().length, 1);
      assert.equal(await fixture.node(vbd, 'hotplug-error'), undefined);
    }));

  it('and leaves the loop device of a vbd that is gone if blkback may open it for another one', () =>
    withFixture(async (fixture) => {
      const { wanted } = await gone(fixture);
      const path = onlyLoop(fixture);
      await using _mark = (await mayOpen(fixture, path)).mark;
      await refused(fixture, wanted, 'EHELD');
      assert.deepEqual(fixture.loops(), [path]);
    }));

  it('also where a directory has the name of a record, which it leaves', () =>
    withFixture(async (fixture) => {
      const path = join(fixture.bed.runDirectory, 'vbd-9-1.json');
      mkdirSync(path);
      const wanted = await repairOf(fixture, 'record-unreadable');
      await refused(fixture, wanted, 'EISDIR');
      assert.ok(existsSync(path));
    }));

  it('and leaves a file that is a record by now', () =>
    withFixture(async (fixture) => {
      const { runDirectory } = fixture.bed;
      const path = join(runDirectory, 'vbd-9-1.json');
      writeFileSync(path, '{');
      const wanted = await repairOf(fixture, 'record-unreadable');
      const record = { devnum: { major: 7, minor: 999 }, diskseq: 9n, path: '/dev/loop999' };
      writeRecord(runDirectory, vbdPath(9, 1), { ...record, unbind: true });
      await refused(fixture, wanted, 'ERACE');
      assert.ok(existsSync(path));
    }));

  it("and leaves the loop device of Xen's block that stands on another file by now", () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(fixture.image(), { script: '/etc/xen/scripts/block' });
      assert.equal((await runXenBlock(fixture.bed, vbd, 'add')).status, 0);
      await fixture.logged(vbd, 'opened');
      await fixture.close(vbd);
      await fixture.logged(vbd, 'closed');
      const wanted = await repairOf(fixture, 'other-script');
      await fixture.store.write(`${vbd.backendPath}/params`, fixture.image('another'));
      await refused(fixture, wanted, 'EIDENTITY');
      assert.equal(fixture.loops().length, 1);
      assert.equal(await fixture.node(vbd, 'node'), onlyLoop(fixture));
      assert.equal((await runXenBlock(fixture.bed, vbd, 'remove')).status, 0);
    }));

  it('and leaves a loop device that a vbd names by now, and ends it when no vbd does', () =>
    withFixture(async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      const minor = Number(loop.path.replace('/dev/loop', ''));
      const identity = { devnum: { major: 7, minor }, diskseq: BigInt(loop.diskseq) };
      const backingFile = '/not/needed';
      const found = { path: loop.path, ...identity, backingFile, autoclear: false };
      const wanted: Repair = { action: 'clear-loop', loop: found };
      const extra = { 'physical-device': loop.devnum };
      const vbd = await fixture.create(loop.path, { extra, omit: ['dev'] });
      await fixture.blkback.hold('events', vbd.key);
      await refused(fixture, wanted, 'EHELD');
      assert.deepEqual(fixture.loops(), [loop.path]);
      await fixture.blkback.release('events', vbd.key);
      await fixture.delete(vbd);
      await repair(fixture.store, wanted, options(fixture));
      assert.deepEqual(fixture.loops(), []);
    }));
});
