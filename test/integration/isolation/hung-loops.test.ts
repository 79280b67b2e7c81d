import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { startBed } from '../../bed/bed.js';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { effort } from '../../bed/effort.js';
import { FuseFiles } from '../../bed/fuse-files.js';
import { attachLoop, type Loop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';

/** The number of loop devices whose file server does not answer. */
const COUNT = effort(150, 20);
/**
 * This limit is far below the deadline of an add, and far above the time of an add on a busy
 * machine.
 */
const SOON_MS = 10_000;
/** The client cannot fall back without Node. */
const WITHOUT_NODE = { PATH: '/nonexistent' };

describe('Loop devices of a file server that does not answer', function () {
  this.timeout(120_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'fuse');
  });

  /** Runs `body` on a bed beside which `count` loop devices hang. */
  async function beside(
    count: number,
    body: (fixture: HotplugFixture, files: FuseFiles, hung: readonly Loop[]) => Promise<void>,
  ): Promise<void> {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const names = Array.from({ length: count }, (_, i) => `disk${i}`);
    await using files = await FuseFiles.mount(
      Object.fromEntries(names.map((name) => [name, 1024 * 1024])),
    );
    const hung: Loop[] = [];
    try {
      for (const name of names) hung.push(await attachLoop(files.path(name)));
      await files.stop();
      await body(new HotplugFixture(bed, store), files, hung);
    } finally {
      files.resume();
      for (const loop of hung) await loop.detach();
    }
  }

  it(`hold up no one-shot add of a file or a disk, be they ${COUNT}`, () =>
    beside(COUNT, async (fixture) => {
      const file = await fixture.vbd(fixture.image());
      await using disk = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(disk.path);
      const started = performance.now();
      for (const one of [file, vbd]) {
        const { status, stderr } = await fixture.script(one, 'add');
        assert.equal(status, 0, stderr);
      }
      const check = await fixture.cli(['check', disk.path, '--frontend', '9']);
      assert.match(check.stdout + check.stderr, /attached read-write to domain 7/);
      assert.ok(performance.now() - started < SOON_MS);
      await fixture.delete(vbd);
      await fixture.delete(file);
    }));

  it('hold up none through a daemon that has been started meanwhile, and none later', () =>
    beside(COUNT, async (fixture, files) => {
      await using daemon = await startDaemon(fixture.bed);
      const started = performance.now();
      const add = async (): Promise<void> => {
        await using disk = await attachLoop(fixture.image());
        const vbd = await fixture.vbd(disk.path, { script: 'another' });
        const { status, stderr } = await runClient({ ...daemon.env, ...WITHOUT_NODE }, vbd, 'add');
        assert.equal(status, 0, stderr);
        await fixture.delete(vbd);
      };
      for (let i = 0; i < 3; i++) await add();
      assert.ok(performance.now() - started < SOON_MS);
      files.resume();
      await add();
    }));

  it('hold up no add although QEMU serves one of them to another guest', () =>
    beside(1, async (fixture, _files, [hung = assert.fail()]) => {
      await using disk = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(disk.path);
      const qdisk = 'backend/qdisk/8/51712';
      const frontend = '/local/domain/8/device/vbd/51712';
      for (const [node, value] of Object.entries({ frontend, mode: 'w', params: hung.path })) {
        await fixture.store.write(`${qdisk}/${node}`, value);
      }
      const { status, stderr } = await fixture.script(vbd, 'add');
      assert.equal(status, 0, stderr);
      await fixture.delete(vbd);
    }));

  it('are not taken for free: one whose path explains nothing is named in the refusal', () =>
    beside(1, async (fixture, files, [hung = assert.fail()]) => {
      await using disk = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(disk.path);
      // The path that sysfs tells now leads to this machine's own file system.
      assert.equal(spawnSync('umount', ['--lazy', files.directory]).status, 0);
      const { status, stderr } = await fixture.script(vbd, 'add');
      assert.equal(status, 1);
      const told = `what ${hung.path} stands on cannot be told: LOOP_GET_STATUS64 has not come back for `;
      assert.ok(stderr.includes(told), stderr);
      assert.equal(await fixture.node(vbd, 'hotplug-status'), 'error');
      assert.ok((await fixture.node(vbd, 'hotplug-error'))?.includes(told));
      files.resume();
      const again = await fixture.script(vbd, 'add');
      assert.equal(again.status, 0, again.stderr);
      await fixture.delete(vbd);
    }));
});
