import assert from 'node:assert/strict';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { beforeWriting } from './before-writing.js';
import { MARKER, on } from './fixture.js';
import {
  assertSpent,
  published,
  refused,
  refusedByScript,
  reported,
  SHORT_MS,
  untouched,
} from './refusals.js';

describe('bad input', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  describe('of physical-device, which is there already:', () => {
    it(
      'it is a device of somebody else',
      on({}, async (fixture) => {
        await using loop = await attachLoop(fixture.image('somebody else'));
        const extra = { 'physical-device': loop.devnum };
        const vbd = await fixture.vbd(fixture.image(), { extra });
        await untouched(fixture, vbd, /not what params asks for/);
        await fixture.delete(vbd);
      }),
    );

    it(
      'it is another device than params asks for',
      on({ noOpen: true }, async (fixture) => {
        await using loop = await attachLoop(fixture.image('another'));
        await using wanted = await attachLoop(fixture.image('the wanted'));
        for (const params of [fixture.image(), wanted.path, `diskseq=${wanted.diskseq}`]) {
          const vbd = await fixture.vbd(params, { extra: published(loop) });
          await untouched(fixture, vbd, /not what params asks for/);
        }
      }),
    );

    it(
      'it is a loop device over another part of the file',
      on({ noOpen: true }, async (fixture) => {
        const image = fixture.image();
        await using loop = await attachLoop(image, { offset: 4096 });
        const vbd = await fixture.vbd(image, { extra: published(loop) });
        await untouched(fixture, vbd, /not what params asks for/);
      }),
    );

    it(
      'it is a device that is gone, or another by now',
      on({ noOpen: true }, async (fixture) => {
        const image = fixture.image();
        const loop = await attachLoop(image);
        await loop.detach();
        const vbd = await fixture.vbd(image, { extra: published(loop) });
        await untouched(fixture, vbd, /has to be removed first/);
        await using _another = await attachLoop(fixture.image('another'));
        await untouched(fixture, vbd, /has to be removed first/);
        await fixture.detach(vbd);
        assert.equal(await fixture.node(vbd, 'physical-device'), undefined);
      }),
    );

    for (const value of ['', 'hello', '7', '7:', '-7:0', '@']) {
      it(
        `it is ${JSON.stringify(value)}, which names none`,
        on({ noOpen: true }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image(), { extra: { 'physical-device': value } });
          await untouched(fixture, vbd, /names no device to blkback/);
        }),
      );
    }

    it(
      'somebody writes it while the device is being opened',
      on({ noOpen: true }, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        const path = `${vbd.backendPath}/physical-device`;
        const store = beforeWriting(fixture.store, 'physical-device', () =>
          fixture.store.write(path, 'fe:0'),
        );
        const error = await failure('EPUBLISHED', fixture.attachThrough(store, vbd));
        assert.match(error.message, /254:0/);
        assert.equal(await fixture.node(vbd, 'physical-device'), 'fe:0');
        assert.deepEqual(await reported(fixture, vbd), ['error', error.message]);
        fixture.assertNothingLeft();
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
        on({}, async (fixture) => {
          const vbd = await fixture.create(fixture.image(), { extra: { state } });
          const error = await refused(fixture, vbd, 'ESTATE', new RegExp(name));
          const { milliseconds } = await refusedByScript(fixture, vbd, new RegExp(name));
          assert.ok(milliseconds < 3000, `${milliseconds} ms, ${error.message}`);
        }),
      );
    }

    it(
      'state 1 for ever ends at the deadline, and asks for xen-blkback',
      on({ noProbe: true }, async (fixture) => {
        const vbd = await fixture.create(fixture.image());
        const start = performance.now();
        const attempt = fixture.attach(vbd, { timeoutMs: SHORT_MS });
        const error = await failure('ETIMEDOUT', attempt);
        assertSpent(start);
        assert.match(error.message, /0\.6 s.*is xen-blkback loaded\?/);
        await fixture.assertTakenBack(vbd, error);
      }),
    );

    it(
      'it becomes 5 while the device is being opened',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        const store = beforeWriting(fixture.store, 'physical-device', () =>
          fixture.store.write(`${vbd.backendPath}/state`, '5'),
        );
        const error = await failure('ESTATE', fixture.attachThrough(store, vbd));
        await fixture.assertTakenBack(vbd, error);
        assert.deepEqual(fixture.events(vbd, 'physical-device', 'opened'), []);
      }),
    );

    it(
      'it becomes 6 while blkback opens the device: it has the one that was meant',
      on({ hold: true }, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        const attempt = failure('ESTATE', fixture.attach(vbd));
        await fixture.logged(vbd, 'physical-device');
        await fixture.store.write(`${vbd.backendPath}/state`, '6');
        const error = await attempt;
        const nodes = await fixture.nodes(
          vbd,
          'hotplug-status',
          'hotplug-error',
          'state',
          'online',
        );
        assert.deepEqual(nodes, ['error', error.message, '6', '0']);
        assert.notEqual(await fixture.node(vbd, 'physical-device'), undefined);
        fixture.blkback.kill('SIGUSR1');
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      }),
    );

    it(
      'blkback is in no sysfs: this is not the backend domain',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        const sysfs = fixture.bed.images;
        const error = await failure('ESYSFS', fixture.attach(vbd, { sysfs }));
        assert.match(error.message, /this has to be the backend domain/);
        await fixture.assertTakenBack(vbd, error);
      }),
    );

    it(
      'blkback has a device open that no node speaks of',
      on({}, async (fixture) => {
        const vbd = await fixture.vbd(fixture.image());
        await fixture.attach(vbd);
        await fixture.store.remove(`${vbd.backendPath}/physical-device`);
        const error = await failure('EOPEN', fixture.attach(vbd));
        assert.match(error.message, /still has device 7:/);
        assert.equal(await fixture.node(vbd, 'hotplug-error'), error.message);
        assert.equal(fixture.events(vbd, 'opened').length, 1);
      }),
    );
  });
});
