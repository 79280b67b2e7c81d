import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { needs } from '../../bed/needs.js';
import type { Vbd } from '../../bed/toolstack.js';
import { beforeWriting, only, type Stage } from '../hotplug/stage.js';
import { GUISES, withGround } from './ground.js';
import { assertRemoved } from './guests.js';

/** What befalls a vbd that is attached, before it is removed. */
const EVENTS: readonly (readonly [string, (stage: Stage, vbd: Vbd) => Promise<void>])[] = [
  [
    'an add that finds other params fails',
    async (stage, vbd) => {
      const path = `${vbd.backendPath}/params`;
      const params = await stage.store.read(path);
      await stage.store.write(path, stage.image('another'));
      await assert.rejects(stage.attach(vbd));
      await stage.store.write(path, params);
    },
  ],
  [
    'an add cannot report, as xenstored has gone for it',
    async (stage, vbd) => {
      const store = beforeWriting(stage.store, 'hotplug-status', async () => {
        throw new Error('xenstored is gone');
      });
      await stage.attachThrough(store, vbd).catch(() => undefined);
    },
  ],
  [
    'an add is interrupted',
    async (stage, vbd) => {
      const interrupt = new AbortController();
      const onStep = (step: string) => step === 'connected' && interrupt.abort(new Error('enough'));
      await stage.attach(vbd, { signal: interrupt.signal, onStep }).catch(() => undefined);
    },
  ],
  [
    'its record is gone',
    async (stage) => {
      for (const name of stage.records()) rmSync(join(stage.bed.runDirectory, name));
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
        withGround('file', { guise }, async (stage, { path }) => {
          const vbd = await stage.vbd(`path=${path},autoclear=no`);
          await stage.attach(vbd);
          await happen(stage, vbd);
          only(stage.loops());
          await stage.close(vbd);
          await assertRemoved(stage, vbd);
          stage.assertNothingLeft();
        }),
      );
    }
  }
});
