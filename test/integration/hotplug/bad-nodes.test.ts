import assert from 'node:assert/strict';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import {
  assertSpent,
  published,
  refused,
  refusedByScript,
  reported,
  SHORT_MS,
  untouched,
} from './refusals.js';
import { beforeWriting, failure, MARKER, on } from './stage.js';

describe('bad input', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('of physical-device, which is there already:', () => {
    it(
      'it is a device of somebody else',
      on({}, async (stage) => {
        await using loop = await attachLoop(stage.image('somebody else'));
        const extra = { 'physical-device': loop.devnum };
        const vbd = await stage.vbd(stage.image(), { extra });
        await untouched(stage, vbd, /not what params asks for/);
        await stage.delete(vbd);
      }),
    );

    it(
      'it is another device than params asks for',
      on({ noOpen: true }, async (stage) => {
        await using loop = await attachLoop(stage.image('another'));
        await using wanted = await attachLoop(stage.image('the wanted'));
        for (const params of [stage.image(), wanted.path, `diskseq=${wanted.diskseq}`]) {
          const vbd = await stage.vbd(params, { extra: published(loop) });
          await untouched(stage, vbd, /not what params asks for/);
        }
      }),
    );

    it(
      'it is a loop device over another part of the file',
      on({ noOpen: true }, async (stage) => {
        const image = stage.image();
        await using loop = await attachLoop(image, { offset: 4096 });
        const vbd = await stage.vbd(image, { extra: published(loop) });
        await untouched(stage, vbd, /not what params asks for/);
      }),
    );

    it(
      'it is a device that is gone, or another by now',
      on({ noOpen: true }, async (stage) => {
        const image = stage.image();
        const loop = await attachLoop(image);
        await loop.detach();
        const vbd = await stage.vbd(image, { extra: published(loop) });
        await untouched(stage, vbd, /has to be removed first/);
        await using _another = await attachLoop(stage.image('another'));
        await untouched(stage, vbd, /has to be removed first/);
        await stage.detach(vbd);
        assert.equal(await stage.node(vbd, 'physical-device'), undefined);
      }),
    );

    for (const value of ['', 'hello', '7', '7:', '-7:0', '@']) {
      it(
        `it is ${JSON.stringify(value)}, which names none`,
        on({ noOpen: true }, async (stage) => {
          const vbd = await stage.vbd(stage.image(), { extra: { 'physical-device': value } });
          await untouched(stage, vbd, /names no device to blkback/);
        }),
      );
    }

    it(
      'somebody writes it while the device is being opened',
      on({ noOpen: true }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const path = `${vbd.backendPath}/physical-device`;
        const store = beforeWriting(stage.store, 'physical-device', () =>
          stage.store.write(path, 'fe:0'),
        );
        const error = await failure('EPUBLISHED', stage.attachThrough(store, vbd));
        assert.match(error.message, /254:0/);
        assert.equal(await stage.node(vbd, 'physical-device'), 'fe:0');
        assert.deepEqual(await reported(stage, vbd), ['error', error.message]);
        stage.assertNothingLeft();
      }),
    );
  });

  describe('of the state of the backend:', () => {
    for (const [state, name] of [
      ['5', 'Closing'],
      ['6', 'Closed'],
    ] as const) {
      it(
        `state ${state} is an error at once`,
        on({}, async (stage) => {
          const vbd = await stage.create(stage.image(), { extra: { state } });
          const error = await refused(stage, vbd, 'ESTATE', new RegExp(name));
          const { milliseconds } = await refusedByScript(stage, vbd, new RegExp(name));
          assert.ok(milliseconds < 3000, `${milliseconds} ms, ${error.message}`);
        }),
      );
    }

    it(
      'state 1 for ever ends at the deadline, and asks for xen-blkback',
      on({ noProbe: true }, async (stage) => {
        const vbd = await stage.create(stage.image());
        const start = performance.now();
        const attempt = stage.attach(vbd, { timeoutMs: SHORT_MS });
        const error = await failure('ETIMEDOUT', attempt);
        assertSpent(start);
        assert.match(error.message, /0\.6 s.*is xen-blkback loaded\?/);
        await stage.assertTakenBack(vbd, error);
      }),
    );

    it(
      'it becomes 5 while the device is being opened',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const store = beforeWriting(stage.store, 'physical-device', () =>
          stage.store.write(`${vbd.backendPath}/state`, '5'),
        );
        const error = await failure('ESTATE', stage.attachThrough(store, vbd));
        await stage.assertTakenBack(vbd, error);
        assert.deepEqual(stage.events(vbd, 'physical-device', 'opened'), []);
      }),
    );

    it(
      'it becomes 6 while blkback opens the device: it has the one that was meant',
      on({ hold: true }, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const attempt = failure('ESTATE', stage.attach(vbd));
        await stage.logged(vbd, 'physical-device');
        await stage.store.write(`${vbd.backendPath}/state`, '6');
        const error = await attempt;
        const nodes = await stage.nodes(vbd, 'hotplug-status', 'hotplug-error', 'state', 'online');
        assert.deepEqual(nodes, ['error', error.message, '6', '0']);
        assert.notEqual(await stage.node(vbd, 'physical-device'), undefined);
        stage.blkback.kill('SIGUSR1');
        assert.equal((await stage.logged(vbd, 'opened')).bytes, MARKER);
      }),
    );

    it(
      'blkback is in no sysfs: this is not the backend domain',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        const sysfs = stage.bed.images;
        const error = await failure('ESYSFS', stage.attach(vbd, { sysfs }));
        assert.match(error.message, /this has to be the backend domain/);
        await stage.assertTakenBack(vbd, error);
      }),
    );

    it(
      'blkback has a device open that no node speaks of',
      on({}, async (stage) => {
        const vbd = await stage.vbd(stage.image());
        await stage.attach(vbd);
        await stage.store.remove(`${vbd.backendPath}/physical-device`);
        const error = await failure('EOPEN', stage.attach(vbd));
        assert.match(error.message, /still has device 7:/);
        assert.equal(await stage.node(vbd, 'hotplug-error'), error.message);
        assert.equal(stage.events(vbd, 'opened').length, 1);
      }),
    );
  });
});
