import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure, only } from '../../bed/assertions.js';
import { runClient, startDaemon } from '../../bed/daemon.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { waitNode } from '../../bed/toolstack.js';
import { type HotplugFixture, MARKER, on, type VbdChange } from './fixture.js';

const CDROM: VbdChange = { mode: 'r', extra: { 'device-type': 'cdrom' } };
const NODES = ['physical-device', 'physical-device-path', 'diskseq', 'hotplug-status'] as const;
const EMPTY = [undefined, undefined, undefined, 'connected'];

/**
 * Makes the file that libxl names for a drive without a medium if the backend is to have a device.
 */
function emptyFile(fixture: HotplugFixture): string {
  const path = join(fixture.bed.images, 'empty-cdrom.7');
  writeFileSync(path, '');
  return path;
}

describe('A CD-ROM drive', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'without a medium is added and removed by the script, and nothing is published for it',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd('', CDROM);
      for (let times = 0; times < 2; times++) {
        const added = await fixture.script(vbd, 'add');
        assert.deepEqual([added.status, added.stderr], [0, '']);
        assert.deepEqual(await fixture.nodes(vbd, ...NODES, 'hotplug-error'), [
          ...EMPTY,
          undefined,
        ]);
      }
      assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened'), []);
      await fixture.close(vbd);
      const removed = await fixture.script(vbd, 'remove');
      assert.deepEqual([removed.status, removed.stderr], [0, '']);
      assert.deepEqual(await fixture.nodes(vbd, ...NODES), [
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
      on({ guise }, async (fixture) => {
        const vbd = await fixture.vbd('', CDROM);
        assert.equal((await fixture.attach(vbd)).publication, undefined);
        await fixture.store.write(`${vbd.backendPath}/params`, fixture.image(MARKER));
        await fixture.attach(vbd);
        const { bytes, readOnly } = await fixture.logged(vbd, 'opened');
        assert.deepEqual([bytes, readOnly], [MARKER, 1]);
        await fixture.assertConnected(vbd, only(fixture.loops()));
        await fixture.store.write(`${vbd.backendPath}/params`, '');
        const error = await failure('EPUBLISHED', fixture.attach(vbd));
        assert.match(error.message, /until the vbd is removed/);
        await fixture.close(vbd);
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }),
    );
  }

  it(
    'is served by the daemon, with and without a medium',
    on({}, async (fixture) => {
      await using daemon = await startDaemon(fixture.bed);
      const vbd = await fixture.vbd('', CDROM);
      await waitNode(fixture.store, `${vbd.backendPath}/hotplug-status`, 'connected');
      const env = { ...daemon.env, PATH: '/nonexistent' };
      const added = await runClient(env, vbd, 'add');
      assert.deepEqual([added.status, added.stderr], [0, '']);
      assert.deepEqual(await fixture.nodes(vbd, ...NODES), EMPTY);
      await fixture.store.write(`${vbd.backendPath}/params`, fixture.image(MARKER));
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      assert.equal((await runClient(env, vbd, 'add')).status, 0);
      await fixture.close(vbd);
      assert.equal((await runClient(env, vbd, 'remove')).status, 0);
      fixture.assertNothingLeft();
    }),
  );

  it(
    'with a file of 0 bytes gets a disk without sectors, which is only read, whatever mode says',
    on({}, async (fixture) => {
      for (const mode of ['r', 'w']) {
        const vbd = await fixture.vbd(emptyFile(fixture), { ...CDROM, mode });
        await fixture.attach(vbd);
        const { size, readOnly } = await fixture.logged(vbd, 'opened');
        assert.deepEqual([size, readOnly], [0, 1]);
        assert.equal((await fixture.attach(vbd)).already, true);
        await fixture.close(vbd);
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
      }
    }),
  );

  it(
    'is only read with mode w as well: a file is, and a disk must be by itself',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image(), { ...CDROM, mode: 'w' });
      await fixture.attach(vbd);
      assert.equal((await fixture.logged(vbd, 'opened')).readOnly, 1);
      for (const readOnly of [true, false]) {
        await using loop = await attachLoop(fixture.image(), { readOnly });
        const disk = await fixture.vbd(loop.path, { ...CDROM, mode: 'w' });
        if (readOnly) {
          await fixture.attach(disk);
        } else {
          const error = await failure('EWRITABLE', fixture.attach(disk));
          assert.match(error.message, /mode r is needed/);
        }
        await fixture.delete(disk);
      }
    }),
  );

  it(
    'is the only thing that may be empty',
    on({}, async (fixture) => {
      await failure('ETARGET', fixture.attach(await fixture.vbd('')));
      await failure(
        'EWINDOW',
        fixture.attach(await fixture.vbd(emptyFile(fixture), { mode: 'r' })),
      );
    }),
  );
});
