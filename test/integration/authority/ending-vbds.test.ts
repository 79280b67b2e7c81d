import assert from 'node:assert/strict';
import { pause } from '../../../src/util/retry.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { GUISES, withGround } from './ground.js';

// An add is killed when blkback has read the number that it has published, and has not opened the
// device yet. Then the toolstack deletes the nodes. Nothing names the device any more.

/** Leaves a vbd of guest 7 in blkback that may open a device at any time. */
async function leaveReadNumber(fixture: HotplugFixture, params: string): Promise<Vbd> {
  const vbd = await fixture.vbd(params, { mode: 'w' });
  await fixture.blkback.hold('open', vbd.key);
  const adding = fixture.startScript(vbd, 'add');
  await fixture.logged(vbd, 'physical-device');
  adding.process.kill('SIGKILL');
  await adding.ended;
  await deleteVbd(fixture.store, vbd);
  return vbd;
}

describe('A vbd whose add was killed, and whose nodes were deleted, before blkback has opened it', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    it(
      `has its disk for itself as long as it has it (${guise} blkback)`,
      withGround('disk', { guise }, async (fixture, { path }) => {
        const old = await leaveReadNumber(fixture, path);
        const vbd = await fixture.vbd(path, { frontend: 8 });
        const added = fixture.attach(vbd);
        added.catch(() => undefined);
        await pause(300);
        assert.deepEqual(fixture.events(vbd, 'opened'), []);
        await fixture.blkback.release('open', old.key);
        await added;
      }),
    );

    it(
      `leaves the answer of check and inspect open (${guise} blkback)`,
      withGround('disk', { guise }, async (fixture, { path }) => {
        const old = await leaveReadNumber(fixture, path);
        for (const command of ['check', 'inspect']) {
          const { status, stdout, stderr } = await fixture.cli([command, path]);
          assert.equal(status, 4, stdout + stderr);
          assert.match(stdout + stderr, /blkback may be about to open any device for vbd-7-51712/);
        }
        await fixture.blkback.release('open', old.key);
      }),
    );

    it(
      `never gets the file of another guest that is bound to the same number (${guise} blkback)`,
      withGround('file', { guise }, async (fixture) => {
        const old = await leaveReadNumber(fixture, fixture.image('of the guest that is gone'));
        // Other programs of this machine bind files as well, and know nothing of this bed.
        const marker = `of the next guest ${process.pid}`;
        const vbd = await fixture.vbd(fixture.image(marker), { frontend: 8 });
        const added = fixture.attach(vbd);
        added.catch(() => undefined);
        await pause(300);
        await fixture.blkback.release('open', old.key);
        await added;
        for (const { bytes } of fixture.events(old, 'opened')) assert.notEqual(bytes, marker);
        assert.equal(fixture.events(vbd, 'opened')[0]?.bytes, marker);
      }),
    );
  }
});
