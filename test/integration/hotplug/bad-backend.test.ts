import assert from 'node:assert/strict';
import { failure, only } from '../../bed/assertions.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd } from '../../bed/toolstack.js';
import { beforeWriting } from './before-writing.js';
import { MARKER, on } from './fixture.js';
import { assertSpent, logLines, onlyLine, refusedByScript, release, SHORT_MS } from './refusals.js';

describe('bad input', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('of blkback:', () => {
    for (const guise of ['stock', 'diskseq'] as const) {
      it(
        `a ${guise} one has not opened the device at the deadline: it may yet, and is given the time`,
        on({ guise, noOpen: true }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const start = performance.now();
          const error = await failure('ETIMEDOUT', fixture.attach(vbd, { timeoutMs: SHORT_MS }));
          assertSpent(start);
          assert.match(error.message, /waiting for blkback to open \/dev\/loop\d+/);
          await fixture.assertKept(vbd, error, only(fixture.loops()));
          // The failed add has asked for the end of the vbd, so the next add meets that state.
          const { status, stderr, milliseconds } = await fixture.script(vbd, 'add');
          assert.equal(status, 1);
          assert.match(stderr, /state 5 \(Closing\)/);
          assert.ok(milliseconds < 3000, `${milliseconds} ms`);
          // The end of the vbd decides that blkback opens nothing.
          await deleteVbd(fixture.store, vbd);
          await fixture.logged(vbd, 'removed');
          fixture.assertNothingLeft();
        }),
      );
    }

    it(
      'its error has 4000 bytes and many lines: hotplug-error is one short line',
      on({ hold: true }, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        // The guest's own words: blkback repeats the protocol that the guest has asked for.
        const text = `38 unknown fe protocol ${'creating\nvbd \u0007structure '.repeat(150)}`;
        const attempt = failure('EBLKBACK', fixture.attach(vbd));
        await fixture.logged(vbd, 'physical-device');
        await fixture.store.write(vbd.errorPath, text.slice(0, 4000));
        const error = await attempt;
        assert.match(error.message, /38 unknown fe protocol creating/);
        assert.ok(error.message.length < 500, `${error.message.length} characters`);
        assert.doesNotMatch(error.message, /\p{Cc}/u);
        await fixture.assertKept(vbd, error, only(fixture.loops()));
        await release(fixture, vbd);
      }),
    );
  });

  describe('a backend that is not there', () => {
    it(
      'is an error, and is not made by reporting it',
      on({}, async (fixture) => {
        const path = 'backend/vbd/99/51712';
        await failure('EBACKEND', fixture.attach(path));
        const { status, stderr } = await fixture.script(path, 'add');
        assert.equal(status, 1);
        assert.match(stderr, /^xen-blkback: there is no backend backend\/vbd\/99\/51712 [^\n]*\n$/);
        assert.equal(onlyLine(fixture), stderr.replace('xen-blkback: ', '').trim());
        assert.equal(await fixture.exists('backend/vbd/99'), false);
      }),
    );

    it(
      'because it was removed while the device was being opened: it is not brought back',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        const store = beforeWriting(fixture.store, 'physical-device', () => fixture.delete(vbd));
        await failure('EGONE', fixture.attachThrough(store, vbd));
        assert.equal(await fixture.exists(vbd.backendPath), false);
        fixture.assertNothingLeft();
      }),
    );

    for (const guise of ['stock', 'diskseq'] as const) {
      it(
        `because it was removed while a ${guise} blkback opened the device: it is not brought back`,
        on({ guise, hold: true }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const attempt = failure('EGONE', fixture.attach(vbd));
          await fixture.logged(vbd, 'physical-device');
          await deleteVbd(fixture.store, vbd);
          await attempt;
          assert.equal(await fixture.exists(vbd.backendPath), false);
          // The open is under way, and it meets the intended device.
          fixture.blkback.kill('SIGUSR1');
          assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
          await fixture.logged(vbd, 'closed');
          fixture.assertNothingLeft();
        }),
      );
    }

    it(
      'any more when blkback is late to be ready: it is not brought back',
      on({ noProbe: true }, async (fixture) => {
        const vbd = await fixture.create(fixture.image());
        const attempt = fixture.attach(vbd, {
          onStep: (step) => step === 'planned' && void fixture.delete(vbd),
        });
        await failure('EBACKEND', attempt);
        assert.equal(await fixture.exists(vbd.backendPath), false);
        fixture.assertNothingLeft();
      }),
    );
  });

  describe('of the environment:', () => {
    const CALLS: readonly (readonly [name: string, env: NodeJS.ProcessEnv, says: RegExp])[] = [
      ['XENBUS_PATH is missing', { XENBUS_PATH: undefined }, /no vbd is named.*XENBUS_PATH/],
      ['XENBUS_PATH is empty', { XENBUS_PATH: '' }, /no vbd is named/],
      ['XENBUS_PATH is nonsense', { XENBUS_PATH: '../../etc\nx' }, /is no backend path of a vbd/],
      ['XENBUS_PATH is that of a frontend', { XENBUS_PATH: 'device/vbd/1' }, /no backend path/],
      ['XENBUS_TYPE is vif', { XENBUS_TYPE: 'vif' }, /XENBUS_TYPE is "vif"/],
      ['XENBUS_BASE_PATH is nonsense', { XENBUS_BASE_PATH: 'x' }, /XENBUS_BASE_PATH is "x"/],
    ];
    for (const [name, env, says] of CALLS) {
      it(
        name,
        on({}, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const before = await fixture.directory(vbd);
          for (const action of ['add', 'remove']) {
            const { status, stdout, stderr } = await fixture.script(vbd, action, env);
            assert.deepEqual([status, stdout], [1, '']);
            assert.match(stderr, /^xen-blkback: [^\n]+\n$/);
            assert.match(stderr, says);
          }
          assert.equal(logLines(fixture).length, 2);
          assert.deepEqual(await fixture.directory(vbd), before);
          fixture.assertNothingLeft();
        }),
      );
    }

    for (const [variable, value] of [
      ['XEN_BLKBACK_TIMEOUT', 'soon'],
      ['XEN_BLKBACK_UAPI', 'both'],
      ['XEN_BLKBACK_RUN_DIR', 'run'],
    ] as const) {
      it(
        `${variable}=${value}: the toolstack is told as well`,
        on({}, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          await refusedByScript(fixture, vbd, new RegExp(`"${value}"`), { [variable]: value });
        }),
      );
    }
  });
});
