import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { only } from '../../bed/assertions.js';
import { needs } from '../../bed/needs.js';
import type { Vbd } from '../../bed/toolstack.js';
import { beforeWriting } from '../hotplug/before-writing.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { GUISES, withGround } from './ground.js';
import { assertRemoved } from './guests.js';

/** Events that a vbd meets between its attach and its removal. */
const EVENTS: readonly (readonly [string, (fixture: HotplugFixture, vbd: Vbd) => Promise<void>])[] =
  [
    [
      'an add that finds other params fails',
      async (fixture, vbd) => {
        const path = `${vbd.backendPath}/params`;
        const params = await fixture.store.read(path);
        await fixture.store.write(path, fixture.image('another'));
        await assert.rejects(fixture.attach(vbd));
        await fixture.store.write(path, params);
      },
    ],
    [
      'an add cannot report, as xenstored has gone for it',
      async (fixture, vbd) => {
        const store = beforeWriting(fixture.store, 'hotplug-status', async () => {
          throw new Error('xenstored is gone');
        });
        await fixture.attachThrough(store, vbd).catch(() => undefined);
      },
    ],
    [
      'an add is interrupted',
      async (fixture, vbd) => {
        const interrupt = new AbortController();
        const onStep = (step: string) =>
          step === 'connected' && interrupt.abort(new Error('enough'));
        await fixture.attach(vbd, { signal: interrupt.signal, onStep }).catch(() => undefined);
      },
    ],
    [
      'its record is gone',
      async (fixture) => {
        for (const name of fixture.records()) rmSync(join(fixture.bed.runDirectory, name));
      },
    ],
  ];

describe('A loop device with autoclear=no', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    for (const [title, happen] of EVENTS) {
      it(
        `is unbound by remove although ${title} (${guise} blkback)`,
        withGround('file', { guise }, async (fixture, { path }) => {
          const vbd = await fixture.vbd(`path=${path},autoclear=no`);
          await fixture.attach(vbd);
          await happen(fixture, vbd);
          only(fixture.loops());
          await fixture.close(vbd);
          await assertRemoved(fixture, vbd);
          fixture.assertNothingLeft();
        }),
      );
    }
  }
});
