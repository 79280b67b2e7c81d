import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { effort } from '../../bed/effort.js';
import { attachLoop } from '../../bed/images.js';
import { assertSchema } from '../../bed/json-schema.js';
import { BTRFS_SIZE, mountBtrfs, mountElsewhere, needsBtrfs } from '../../bed/mounts.js';
import { needs } from '../../bed/needs.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { withFixture } from './cli-bed.js';
import type { Found } from './found.js';

/** What an audit says of this bed: the machine has loop devices of other tests, too. */
async function audit(fixture: HotplugFixture): Promise<Found[]> {
  const { stdout, stderr } = await fixture.cli(['audit', '--json']);
  assert.equal(stderr, '');
  const { findings } = assertSchema('audit', stdout) as unknown as { findings: Found[] };
  return findings.filter(
    ({ kind, meaning }) => kind !== 'loop-unexplained' || meaning.includes(fixture.bed.directory),
  );
}

async function kinds(fixture: HotplugFixture): Promise<string[]> {
  return (await audit(fixture)).map(({ kind, object }) => `${kind} ${object}`);
}

/** Runs `gc --yes`; returns what it has ended. */
async function collect(fixture: HotplugFixture): Promise<string[]> {
  const { status, stdout, stderr } = await fixture.cli(['gc', '--yes', '--json']);
  assert.deepEqual([status, stderr], [0, ''], stdout);
  const { ended } = assertSchema('gc', stdout) as unknown as { ended: Found[] };
  return ended.map(({ kind }) => kind);
}

describe('xen-blkback audit and gc', function () {
  this.timeout(90_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('find nothing where everything fits together', () =>
    withFixture(async (fixture) => {
      const guests = effort(200, 20);
      for (let guest = 1; guest <= guests; guest++) {
        const image = fixture.image(undefined, { size: 65_536 });
        await fixture.attach(await fixture.vbd(image, { frontend: guest }));
      }
      await fixture.vbd(fixture.image());
      const kept = await fixture.vbd(`path=${fixture.image()},autoclear=no`, { frontend: 300 });
      await fixture.attach(kept);
      assert.deepEqual(await audit(fixture), []);
      assert.deepEqual(await collect(fixture), []);
      assert.equal(fixture.loops().length, guests + 1);
    }));

  it('a loop device that does not clear itself, of a vbd whose nodes are gone: gc clears it', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
      await fixture.attach(vbd);
      await fixture.delete(vbd);
      assert.equal(fixture.loops().length, 1);
      const found = await audit(fixture);
      const left = found.find(({ kind }) => kind === 'record-left');
      assert.ok(left?.automatic);
      assert.equal(left.command, `xen-blkback remove ${vbd.key}`);
      const dry = await fixture.cli(['gc']);
      assert.equal(dry.status, 0);
      assert.match(dry.stdout, /would end .*vbd-7-51712\.json \(record-left\):\n.*--yes does it/s);
      assert.equal(fixture.loops().length, 1, 'a dry run');
      assert.deepEqual(await collect(fixture), ['record-left']);
      fixture.assertNothingLeft();
      assert.deepEqual(await audit(fixture), []);
    }));

  it('what a guest has left whose script was uninstalled before it ended: gc ends all of it', () =>
    withFixture(async (fixture) => {
      const [kept, usual] = [`path=${fixture.image()},autoclear=no`, fixture.image()];
      const vbds = [await fixture.vbd(kept), await fixture.vbd(usual)];
      for (const vbd of vbds) await fixture.attach(vbd);
      // A toolstack that finds no script goes on: blkback closes, and nothing of ours runs.
      for (const vbd of vbds) {
        await fixture.close(vbd);
        await fixture.logged(vbd, 'closed');
      }
      await fixture.store.remove('/local/domain/7');
      assert.equal(fixture.loops().length, 1);
      assert.deepEqual(
        await kinds(fixture),
        vbds.map(({ backendPath }) => `backend-without-guest ${backendPath}`),
      );
      assert.deepEqual(await collect(fixture), ['backend-without-guest', 'backend-without-guest']);
      for (const { backendPath } of vbds) assert.equal(await fixture.exists(backendPath), false);
      fixture.assertNothingLeft();
      assert.deepEqual(await audit(fixture), []);
    }));

  it('a guest that is gone with its backend left: gc removes the backend, not one that is open', () =>
    withFixture(async (fixture) => {
      const idle = await fixture.vbd(fixture.image());
      const open = await fixture.vbd(fixture.image());
      await fixture.attach(open);
      await fixture.blkback.hold('events', open.key);
      await fixture.store.remove('/local/domain/7');
      assert.deepEqual(await kinds(fixture), [
        `backend-without-guest ${idle.backendPath}`,
        `nodes-gone ${open.key}`,
      ]);
      assert.deepEqual(await collect(fixture), ['backend-without-guest']);
      assert.equal(await fixture.exists(idle.backendPath), false);
      assert.equal(await fixture.exists(open.backendPath), true);
      assert.equal(fixture.loops().length, 1);
    }));

  it('two guests that write the same bytes, not two vbds of one', () =>
    withFixture(async (fixture) => {
      const target = `path=${fixture.image()},sharing=allow`;
      for (const frontend of [7, 8]) await fixture.attach(await fixture.vbd(target, { frontend }));
      const [found, ...more] = await audit(fixture);
      assert.deepEqual([found?.kind, more.length], ['double-writer', 0]);
      assert.match(found?.object ?? '', /^7\/51712 and 8\/51728$|^8\/51728 and 7\/51712$/);
      for (const domid of [7, 8]) await fixture.store.write(`/local/domain/${domid}/vm`, '/vm/a');
      assert.deepEqual(await audit(fixture), []);
    }));

  it('an error of the kernel about a vbd that is gone: gc removes it', () =>
    withFixture(async (fixture) => {
      await fixture.store.write('error/backend/vbd/9/51712/error', '2 creating vbd structure');
      const alive = await fixture.vbd(fixture.image());
      await fixture.store.write(`error/${alive.backendPath}/error`, '19 of its predecessor');
      assert.deepEqual(await kinds(fixture), ['error-left error/backend/vbd/9/51712/error']);
      assert.deepEqual(await collect(fixture), ['error-left']);
      assert.equal(await fixture.exists('error/backend/vbd/9/51712'), false);
      assert.equal(await fixture.exists(`error/${alive.backendPath}/error`), true);
    }));

  it('a record that says nothing, and one that was not written to its end: gc removes them', () =>
    withFixture(async (fixture) => {
      const files = ['vbd-9-1.json', 'vbd-9-2.json.new'].map((name) =>
        join(fixture.bed.runDirectory, name),
      );
      for (const file of files) writeFileSync(file, '{');
      writeFileSync(join(fixture.bed.runDirectory, 'other'), '');
      assert.deepEqual(
        await kinds(fixture),
        files.map((file) => `record-unreadable ${file}`),
      );
      assert.deepEqual(await collect(fixture), ['record-unreadable', 'record-unreadable']);
      assert.deepEqual(fixture.records(), ['other']);
    }));

  it('a loop device that neither guest nor host uses: told, and left to its owner', () =>
    withFixture(async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      assert.deepEqual(await kinds(fixture), [`loop-unexplained ${loop.path}`]);
      assert.deepEqual(await collect(fixture), []);
      assert.deepEqual(fixture.loops(), [loop.path]);
      // Somebody has it open: that explains it.
      const fd = openSync(loop.path, 'r');
      try {
        assert.deepEqual(await audit(fixture), []);
      } finally {
        closeSync(fd);
      }
    }));

  it('nothing of a loop device that is mounted in another mount namespace', () =>
    withFixture(async (fixture) => {
      await using loop = await attachLoop(fixture.image());
      execFileSync('mke2fs', ['-q', '-F', loop.path]);
      await using _ = await mountElsewhere(fixture.bed.directory, loop.path);
      assert.deepEqual(await kinds(fixture), []);
    }));

  it('nothing of the loop devices of a btrfs that is mounted', async function () {
    needsBtrfs(this);
    await withFixture(async (fixture) => {
      const image = (): string => fixture.image('', { size: BTRFS_SIZE });
      await using one = await attachLoop(image());
      await using two = await attachLoop(image());
      await using _ = mountBtrfs(fixture.bed.directory, one.path, two.path);
      assert.deepEqual(await kinds(fixture), []);
    });
  });

  it('an add that has failed, with its sentence', () =>
    withFixture(async (fixture) => {
      const vbd = await fixture.vbd('/nonexistent/image');
      await fixture.attach(vbd).catch(() => undefined);
      const { status, stdout } = await fixture.cli(['audit']);
      assert.equal(status, 1);
      assert.match(
        stdout,
        /^7\/51712 \(attach-failed\):\n {4}.*no such file.*\n {4}to end it: xl /m,
      );
    }));
});
