import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { pause } from '../../../src/util/retry.js';
import { waitFor } from '../../../src/xenstore/wait-for.js';
import { failure } from '../../bed/assertions.js';
import { devnumOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { type HotplugFixture, on, parse } from '../hotplug/fixture.js';
import { GUISES, withGround } from './ground.js';

// An add is killed when blkback has read the number that it has published, and has not opened the
// device yet. Then the toolstack deletes the nodes. Nothing names the device any more.

/** Kills an add of guest 7 when blkback has read the number, and has not opened the device yet. */
async function killAdd(fixture: HotplugFixture, params: string): Promise<Vbd> {
  const vbd = await fixture.vbd(params, { mode: 'w' });
  await fixture.blkback.hold('open', vbd.key);
  const adding = fixture.startScript(vbd, 'add');
  await fixture.logged(vbd, 'physical-device');
  adding.process.kill('SIGKILL');
  await adding.ended;
  return vbd;
}

/** Leaves a vbd of guest 7 in blkback that may open a device at any time. */
async function leaveReadNumber(fixture: HotplugFixture, params: string): Promise<Vbd> {
  const vbd = await killAdd(fixture, params);
  await deleteVbd(fixture.store, vbd);
  return vbd;
}

/** Attaches a file of guest 8 while blkback is about to open a device for guest 7. */
async function giveFileToNext(fixture: HotplugFixture, old: Vbd): Promise<void> {
  // Other programs of this machine bind files as well, and know nothing of this bed.
  const marker = `of the next guest ${process.pid}`;
  const vbd = await fixture.vbd(fixture.image(marker), { frontend: 8 });
  const added = fixture.attach(vbd);
  added.catch(() => undefined);
  await pause(300);
  await fixture.blkback.release('open', old.key);
  await added;
  await pause(100);
  for (const { bytes } of fixture.events(old, 'opened')) assert.notEqual(bytes, marker);
  assert.equal(fixture.events(vbd, 'opened')[0]?.bytes, marker);
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
        await giveFileToNext(fixture, old);
      }),
    );
  }
});

describe('A vbd whose add was killed, and that was removed, before blkback has opened it', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    for (const end of ['a program that has the device open', 'the add'] as const) {
      it(
        `never gets the file of another guest: ${end} ends after the remove (${guise} blkback)`,
        on({ guise }, async (fixture) => {
          const old = await fixture.vbd(fixture.image('of the guest that is gone'));
          await fixture.blkback.hold('open', old.key);
          const adding = fixture.startScript(old, 'add');
          await fixture.logged(old, 'physical-device');
          const isOther = end !== 'the add';
          const path = (await fixture.node(old, 'physical-device-path')) ?? '';
          const other = isOther ? await open(path, 'r') : undefined;
          const kill = async (): Promise<void> => {
            adding.process.kill('SIGKILL');
            await adding.ended;
          };
          if (isOther) await kill();
          await fixture.script(old, 'remove');
          await (isOther ? other?.close() : kill());
          await pause(100);
          await giveFileToNext(fixture, old);
        }),
      );
    }
  }

  for (const guise of GUISES) {
    it(
      `has its disk for itself, also where the remove was killed (${guise} blkback)`,
      withGround('disk', { guise }, async (fixture, { path }) => {
        const old = await killAdd(fixture, path);
        const removing = fixture.startScript(old, 'remove');
        const named = `${old.backendPath}/physical-device`;
        await waitFor(
          fixture.store,
          [named],
          async () => ((await fixture.exists(named)) ? undefined : true),
          { signal: AbortSignal.timeout(10_000) },
        );
        removing.process.kill('SIGKILL');
        await removing.ended;
        const vbd = await fixture.vbd(path, { frontend: 8 });
        await failure('EBUSY', fixture.attach(vbd));
        await fixture.blkback.release('open', old.key);
        await fixture.logged(old, 'opened');
        assert.deepEqual(fixture.events(vbd, 'opened'), []);
      }),
    );
  }

  it(
    'has its disk for itself, also where blkback reported an error of its predecessor',
    withGround('disk', {}, async (fixture, { path }) => {
      const old = await fixture.vbd(path, { mode: 'w' });
      await fixture.blkback.hold('open', old.key);
      await fixture.store.write(parse(old).error, '2 creating vbd structure');
      // Other scripts publish no sequence number, and let the error stand.
      await fixture.store.write(`${old.backendPath}/physical-device`, devnumOf(path));
      await fixture.logged(old, 'physical-device');
      await fixture.detach(old);
      const vbd = await fixture.vbd(path, { frontend: 8 });
      await failure('EBUSY', fixture.attach(vbd));
      await fixture.blkback.release('open', old.key);
    }),
  );

  it(
    'is named to no other guest while that one waits for it',
    withGround('disk', {}, async (fixture, { path }) => {
      const old = await leaveReadNumber(fixture, path);
      const vbd = await fixture.vbd(path, { frontend: 8 });
      await assert.rejects(fixture.attach(vbd, { timeoutMs: 2000 }), /for vbd-7-51712/);
      const text = (await fixture.node(vbd, 'hotplug-error')) ?? '';
      assert.match(text, /^vbd \d+: the backend domain cannot tell yet/);
      await fixture.blkback.release('open', old.key);
    }),
  );
});
