import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { HOLDS_FOR_BLKBACK } from '../../../src/block/holders.js';
import { devnumOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd } from '../../bed/toolstack.js';
import { only, type Stage } from '../hotplug/stage.js';
import { layers, settled, withMapper } from '../mapper/bench.js';
import { GUISES } from './ground.js';
import { assertBusy } from './guests.js';
import { addInVain } from './late-opens.js';

/** Of those that hold a device for blkback, what they say they do. */
function processesHolding(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        // It has just ended.
        return '';
      }
    })
    .filter((command) => command.includes(HOLDS_FOR_BLKBACK));
}

describe('A layer that blkback opens only after the add has given up', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  /** What blkback keeps goes by itself with the vbd, and so does whoever has held it. */
  const assertAllGone = async (stage: Stage): Promise<void> => {
    await settled(async () => assert.deepEqual(await layers(), []));
    stage.assertNothingLeft();
    await settled(() => assert.deepEqual(processesHolding(), []));
  };

  for (const guise of GUISES) {
    for (const kind of ['linear', 'crypt'] as const) {
      it(
        `is that very layer, and another guest's is refused before and after: ${kind} (${guise})`,
        withMapper({ guise }, async (stage) => {
          const path = stage.image();
          const vbd = await addInVain(stage, `path=${path},layer=${kind}`);
          const { kernelPath, deferred } = only(await layers());
          assert.ok(deferred, 'it has to go with its last close');
          // One of the test before may take a moment to end.
          await settled(() => void only(processesHolding()));
          await assertBusy(stage, { path });
          await stage.blkback.release('open', vbd.key);
          const { dev, size } = await stage.logged(vbd, 'opened');
          assert.deepEqual([dev, size], [devnumOf(kernelPath), 1024 * 1024]);
          await settled(() => assert.deepEqual(processesHolding(), []));
          await assertBusy(stage, { path });
          await stage.delete(vbd);
          await assertAllGone(stage);
        }),
      );
    }

    for (const [title, held] of [
      ['before it is opened', 'open'],
      ['before blkback has read its number', 'events'],
    ] as const) {
      it(
        `goes with the vbd where that ends ${title} (${guise})`,
        withMapper({ guise }, async (stage) => {
          const vbd = await addInVain(stage, `path=${stage.image()},layer=linear`, held);
          await settled(() => void only(processesHolding()));
          await deleteVbd(stage.store, vbd);
          await stage.blkback.release(held, vbd.key);
          await stage.logged(vbd, 'removed');
          await assertAllGone(stage);
          await stage.detach(vbd);
        }),
      );
    }
  }
});
