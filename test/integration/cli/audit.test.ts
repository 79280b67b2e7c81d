import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { effort } from '../../bed/effort.js';
import { attachLoop, devnumOf } from '../../bed/images.js';
import { assertSchema } from '../../bed/json-schema.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd } from '../../bed/toolstack.js';
import type { Stage } from '../hotplug/stage.js';
import { onStage } from './cli-bed.js';

interface Found {
  readonly kind: string;
  readonly object: string;
  readonly meaning: string;
  readonly command: string;
  readonly automatic: boolean;
}

/** What an audit says of this bed: the machine has loop devices of other tests, too. */
async function audit(stage: Stage): Promise<Found[]> {
  const { stdout, stderr } = await stage.cli(['audit', '--json']);
  assert.equal(stderr, '');
  const { findings } = assertSchema('audit', stdout) as unknown as { findings: Found[] };
  return findings.filter(
    ({ kind, meaning }) => kind !== 'loop-unexplained' || meaning.includes(stage.bed.directory),
  );
}

async function kinds(stage: Stage): Promise<string[]> {
  return (await audit(stage)).map(({ kind, object }) => `${kind} ${object}`);
}

/** Runs `gc --yes`; returns what it has ended. */
async function collect(stage: Stage): Promise<string[]> {
  const { status, stdout, stderr } = await stage.cli(['gc', '--yes', '--json']);
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
    onStage(async (stage) => {
      const guests = effort(200, 20);
      for (let guest = 1; guest <= guests; guest++) {
        const image = stage.image(undefined, { size: 65_536 });
        await stage.attach(await stage.vbd(image, { frontend: guest }));
      }
      await stage.vbd(stage.image());
      const kept = await stage.vbd(`path=${stage.image()},autoclear=no`, { frontend: 300 });
      await stage.attach(kept);
      assert.deepEqual(await audit(stage), []);
      assert.deepEqual(await collect(stage), []);
      assert.equal(stage.loops().length, guests + 1);
    }));

  it('a loop device that does not clear itself, of a vbd whose nodes are gone: gc clears it', () =>
    onStage(async (stage) => {
      const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
      await stage.attach(vbd);
      await stage.delete(vbd);
      assert.equal(stage.loops().length, 1);
      const found = await audit(stage);
      const left = found.find(({ kind }) => kind === 'record-left');
      assert.ok(left?.automatic);
      assert.equal(left.command, `xen-blkback remove ${vbd.key}`);
      const dry = await stage.cli(['gc']);
      assert.equal(dry.status, 0);
      assert.match(dry.stdout, /would end .*vbd-7-51712\.json \(record-left\):\n.*--yes does it/s);
      assert.equal(stage.loops().length, 1, 'a dry run');
      assert.deepEqual(await collect(stage), ['record-left']);
      stage.assertNothingLeft();
      assert.deepEqual(await audit(stage), []);
    }));

  it('what an add has left that was killed after its publication: gc clears it', () =>
    onStage(async (stage) => {
      const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
      await stage.blkback.hold('events', vbd.key);
      const adding = stage.startScript(vbd, 'add', { XEN_BLKBACK_VERBOSE: 'yes' });
      await stage.published(vbd);

      adding.process.kill('SIGKILL');
      assert.equal((await adding.ended).status, null);
      await deleteVbd(stage.store, vbd);
      await stage.blkback.release('events', vbd.key);
      // Until an attach has come to its end its loop device clears itself.
      assert.deepEqual(stage.loops(), []);
      const left = (await audit(stage)).filter(({ automatic }) => automatic);
      assert.deepEqual(
        left.map(({ kind }) => kind),
        ['record-left'],
      );
      assert.deepEqual(await collect(stage), ['record-left']);
      stage.assertNothingLeft();
      assert.deepEqual(await audit(stage), []);
    }));

  it('what a guest has left whose script was uninstalled before it ended: gc ends all of it', () =>
    onStage(async (stage) => {
      const [kept, usual] = [`path=${stage.image()},autoclear=no`, stage.image()];
      const vbds = [await stage.vbd(kept), await stage.vbd(usual)];
      for (const vbd of vbds) await stage.attach(vbd);
      // A toolstack that finds no script goes on: blkback closes, and nothing of ours runs.
      for (const vbd of vbds) {
        await stage.close(vbd);
        await stage.logged(vbd, 'closed');
        await stage.store.remove(vbd.frontendPath);
      }
      assert.equal(stage.loops().length, 1);
      assert.deepEqual(
        await kinds(stage),
        vbds.map(({ backendPath }) => `backend-without-guest ${backendPath}`),
      );
      assert.deepEqual(await collect(stage), ['backend-without-guest', 'backend-without-guest']);
      for (const { backendPath } of vbds) assert.equal(await stage.exists(backendPath), false);
      stage.assertNothingLeft();
      assert.deepEqual(await audit(stage), []);
    }));

  it('what a full /run has left, which is nothing but the sentence', () =>
    onStage(async (stage) => {
      const { runDirectory } = stage.bed;
      const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'none', runDirectory]);
      assert.equal(mounted.status, 0);
      try {
        spawnSync('dd', ['if=/dev/zero', `of=${runDirectory}/filler`, 'bs=4k', 'count=100']);
        const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
        assert.equal((await stage.script(vbd, 'add')).status, 1);
        const [found, ...more] = await audit(stage);
        assert.deepEqual([found?.kind, more], ['attach-failed', []]);
        assert.match(found?.meaning ?? '', /could not be written/);
        assert.deepEqual(await collect(stage), []);
        await stage.delete(vbd);
        assert.deepEqual(await audit(stage), []);
        assert.deepEqual(stage.loops(), []);
      } finally {
        spawnSync('umount', ['--lazy', runDirectory]);
      }
    }));

  it('a device that blkback has open without nodes: told, and left alone', () =>
    onStage(async (stage) => {
      const vbd = await stage.vbd(stage.image());
      await stage.attach(vbd);
      await stage.blkback.hold('events', vbd.key);
      await stage.store.remove(vbd.backendPath);
      assert.deepEqual(await kinds(stage), [`nodes-gone ${vbd.key}`]);
      assert.deepEqual(await collect(stage), []);
      assert.equal(stage.loops().length, 1);
    }));

  it('a guest that is gone with its backend left: gc removes the backend, not one that is open', () =>
    onStage(async (stage) => {
      const idle = await stage.vbd(stage.image());
      const open = await stage.vbd(stage.image());
      await stage.attach(open);
      await stage.blkback.hold('events', open.key);
      for (const { frontendPath } of [idle, open]) await stage.store.remove(frontendPath);
      assert.deepEqual(await kinds(stage), [
        `backend-without-guest ${idle.backendPath}`,
        `nodes-gone ${open.key}`,
      ]);
      assert.deepEqual(await collect(stage), ['backend-without-guest']);
      assert.equal(await stage.exists(idle.backendPath), false);
      assert.equal(await stage.exists(open.backendPath), true);
      assert.equal(stage.loops().length, 1);
    }));

  it('a sequence number that is another by now, and a device that is not there', () =>
    onStage(async (stage) => {
      const other = await stage.vbd(stage.image());
      await stage.attach(other);
      await stage.store.write(`${other.backendPath}/diskseq`, '1');
      const gone = await stage.create('/nowhere', { extra: { 'physical-device': '1e7:5' } });
      const found = await kinds(stage);
      assert.ok(found.includes(`diskseq-differs ${other.key}`), found.join());
      assert.ok(found.includes(`device-gone ${gone.key}`), found.join());
      assert.deepEqual(await collect(stage), []);
    }));

  it('two guests that write the same bytes, not two vbds of one', () =>
    onStage(async (stage) => {
      const target = `path=${stage.image()},sharing=allow`;
      for (const frontend of [7, 8]) await stage.attach(await stage.vbd(target, { frontend }));
      const [found, ...more] = await audit(stage);
      assert.deepEqual([found?.kind, more.length], ['double-writer', 0]);
      assert.match(found?.object ?? '', /^7\/51712 and 8\/51728$|^8\/51728 and 7\/51712$/);
      for (const domid of [7, 8]) await stage.store.write(`/local/domain/${domid}/vm`, '/vm/a');
      assert.deepEqual(await audit(stage), []);
    }));

  it('an error of the kernel about a vbd that is gone: gc removes it', () =>
    onStage(async (stage) => {
      await stage.store.write('error/backend/vbd/9/51712/error', '2 creating vbd structure');
      const alive = await stage.vbd(stage.image());
      await stage.store.write(`error/${alive.backendPath}/error`, '19 of its predecessor');
      assert.deepEqual(await kinds(stage), ['error-left error/backend/vbd/9/51712/error']);
      assert.deepEqual(await collect(stage), ['error-left']);
      assert.equal(await stage.exists('error/backend/vbd/9/51712'), false);
      assert.equal(await stage.exists(`error/${alive.backendPath}/error`), true);
    }));

  it('a record that says nothing, and one that was not written to its end: gc removes them', () =>
    onStage(async (stage) => {
      const files = ['vbd-9-1.json', 'vbd-9-2.json.new'].map((name) =>
        join(stage.bed.runDirectory, name),
      );
      for (const file of files) writeFileSync(file, '{');
      writeFileSync(join(stage.bed.runDirectory, 'other'), '');
      assert.deepEqual(
        await kinds(stage),
        files.map((file) => `record-unreadable ${file}`),
      );
      assert.deepEqual(await collect(stage), ['record-unreadable', 'record-unreadable']);
      assert.deepEqual(stage.records(), ['other']);
    }));

  it('a vbd that blkback is done with and nobody has removed: gc removes what is ours', () =>
    onStage(async (stage) => {
      const vbd = await stage.vbd(`path=${stage.image()},autoclear=no`);
      await stage.attach(vbd);
      await stage.close(vbd);
      await stage.logged(vbd, 'closed');
      assert.deepEqual(await kinds(stage), [`not-open ${vbd.key}`]);
      assert.deepEqual(await collect(stage), ['not-open']);
      assert.equal(await stage.node(vbd, 'physical-device'), undefined);
      stage.assertNothingLeft();
    }));

  it("another script's device that was not taken away: told with the command that does", () =>
    onStage(async (stage) => {
      const image = stage.image();
      await using loop = await attachLoop(image);
      const vbd = await stage.vbd(image, {
        script: '/etc/xen/scripts/block',
        extra: { node: loop.path },
      });
      await stage.store.write(`${vbd.backendPath}/physical-device`, devnumOf(loop.path));
      await stage.logged(vbd, 'opened');
      await stage.close(vbd);
      await stage.logged(vbd, 'closed');
      const [found, ...more] = await audit(stage);
      assert.deepEqual([found?.kind, found?.object, more], ['other-script', vbd.key, []]);
      assert.equal(found?.command, `XENBUS_PATH=${vbd.backendPath} /etc/xen/scripts/block remove`);
      assert.deepEqual(await collect(stage), []);
      assert.deepEqual(stage.loops(), [loop.path]);
    }));

  it('a loop device that neither guest nor host uses: told, and left to its owner', () =>
    onStage(async (stage) => {
      await using loop = await attachLoop(stage.image());
      assert.deepEqual(await kinds(stage), [`loop-unexplained ${loop.path}`]);
      assert.deepEqual(await collect(stage), []);
      assert.deepEqual(stage.loops(), [loop.path]);
      // Somebody has it open: that explains it.
      const fd = openSync(loop.path, 'r');
      try {
        assert.deepEqual(await audit(stage), []);
      } finally {
        closeSync(fd);
      }
    }));

  it('an add that has failed, with its sentence', () =>
    onStage(async (stage) => {
      const vbd = await stage.vbd('/nonexistent/image');
      await stage.attach(vbd).catch(() => undefined);
      const { status, stdout } = await stage.cli(['audit']);
      assert.equal(status, 1);
      assert.match(
        stdout,
        /^7\/51712 \(attach-failed\):\n {4}.*no such file.*\n {4}to end it: xl /m,
      );
    }));
});
