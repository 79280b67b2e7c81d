import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { waitNode } from '../../bed/toolstack.js';
import { failure, MARKER, on, only, type Stage, type VbdChange } from './stage.js';

const CDROM: VbdChange = { mode: 'r', extra: { 'device-type': 'cdrom' } };
const NODES = ['physical-device', 'physical-device-path', 'diskseq', 'hotplug-status'] as const;
const EMPTY = [undefined, undefined, undefined, 'connected'];

/** What libxl names for a drive without a medium where the backend is to have a device. */
function emptyFile(stage: Stage): string {
  const path = join(stage.bed.images, 'empty-cdrom.7');
  writeFileSync(path, '');
  return path;
}

describe('A CD-ROM drive', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'without a medium is added and removed by the script, and nothing is published for it',
    on({}, async (stage) => {
      const vbd = await stage.vbd('', CDROM);
      for (let times = 0; times < 2; times++) {
        const added = await stage.script(vbd, 'add');
        assert.deepEqual([added.status, added.stderr], [0, '']);
        assert.deepEqual(await stage.nodes(vbd, ...NODES, 'hotplug-error'), [...EMPTY, undefined]);
      }
      assert.deepEqual(stage.events(vbd, 'physical-device', 'opened'), []);
      await stage.close(vbd);
      const removed = await stage.script(vbd, 'remove');
      assert.deepEqual([removed.status, removed.stderr], [0, '']);
      assert.deepEqual(await stage.nodes(vbd, ...NODES), [
        undefined,
        undefined,
        undefined,
        undefined,
      ]);
    }),
  );

  for (const guise of ['stock', 'diskseq'] as const) {
    it(
      `gets a medium that is put in later, and keeps it until it is removed (${guise} blkback)`,
      on({ guise }, async (stage) => {
        const vbd = await stage.vbd('', CDROM);
        assert.equal((await stage.attach(vbd)).publication, undefined);
        await stage.store.write(`${vbd.backendPath}/params`, stage.image(MARKER));
        await stage.attach(vbd);
        const { bytes, readOnly } = await stage.logged(vbd, 'opened');
        assert.deepEqual([bytes, readOnly], [MARKER, 1]);
        await stage.assertConnected(vbd, only(stage.loops()));
        await stage.store.write(`${vbd.backendPath}/params`, '');
        const error = await failure('EPUBLISHED', stage.attach(vbd));
        assert.match(error.message, /until the vbd is removed/);
        await stage.close(vbd);
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }),
    );
  }

  it(
    'is served by the daemon, with and without a medium',
    on({}, async (stage) => {
      await using daemon = await startDaemon(stage.bed);
      const vbd = await stage.vbd('', CDROM);
      await waitNode(stage.store, `${vbd.backendPath}/hotplug-status`, 'connected');
      const env = { ...daemon.env, PATH: '/nonexistent' };
      const added = await runClient(env, vbd, 'add');
      assert.deepEqual([added.status, added.stderr], [0, '']);
      assert.deepEqual(await stage.nodes(vbd, ...NODES), EMPTY);
      await stage.store.write(`${vbd.backendPath}/params`, stage.image(MARKER));
      assert.equal((await stage.logged(vbd, 'opened')).bytes, MARKER);
      assert.equal((await runClient(env, vbd, 'add')).status, 0);
      await stage.close(vbd);
      assert.equal((await runClient(env, vbd, 'remove')).status, 0);
      stage.assertNothingLeft();
    }),
  );

  it(
    'with a file of 0 bytes gets a disk without sectors, which is only read, whatever mode says',
    on({}, async (stage) => {
      for (const mode of ['r', 'w']) {
        const vbd = await stage.vbd(emptyFile(stage), { ...CDROM, mode });
        await stage.attach(vbd);
        const { size, readOnly } = await stage.logged(vbd, 'opened');
        assert.deepEqual([size, readOnly], [0, 1]);
        assert.equal((await stage.attach(vbd)).already, true);
        await stage.close(vbd);
        await stage.detach(vbd);
        stage.assertNothingLeft();
      }
    }),
  );

  it(
    'is only read with mode w as well: a file is, and a disk must be by itself',
    on({}, async (stage) => {
      const vbd = await stage.vbd(stage.image(), { ...CDROM, mode: 'w' });
      await stage.attach(vbd);
      assert.equal((await stage.logged(vbd, 'opened')).readOnly, 1);
      for (const readOnly of [true, false]) {
        await using loop = await attachLoop(stage.image(), { readOnly });
        const disk = await stage.vbd(loop.path, { ...CDROM, mode: 'w' });
        if (readOnly) {
          await stage.attach(disk);
        } else {
          const error = await failure('EWRITABLE', stage.attach(disk));
          assert.match(error.message, /mode r is needed/);
        }
        await stage.delete(disk);
      }
    }),
  );

  it(
    'is the only thing that may be empty',
    on({}, async (stage) => {
      await failure('ETARGET', stage.attach(await stage.vbd('')));
      await failure('EWINDOW', stage.attach(await stage.vbd(emptyFile(stage), { mode: 'r' })));
    }),
  );
});
