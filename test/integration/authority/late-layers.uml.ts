import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { HOLDS_FOR_BLKBACK } from '../../../src/block/holders.js';
import { only } from '../../bed/assertions.js';
import { devnumOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd } from '../../bed/toolstack.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { layers, settled, withMapper } from '../mapper/bench.js';
import { GUISES } from './ground.js';
import { assertBusy } from './guests.js';
import { addInVain } from './late-opens.js';

/** Returns the command lines of the processes that hold a device for blkback. */
function processesHolding(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      } catch {
        // The process has just ended.
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

  /**
   * Asserts that the device which blkback kept has gone with the vbd, and so has the process that
   * held it.
   */
  const assertAllGone = async (fixture: HotplugFixture): Promise<void> => {
    await settled(async () => assert.deepEqual(await layers(), []));
    fixture.assertNothingLeft();
    await settled(() => assert.deepEqual(processesHolding(), []));
  };

  for (const guise of GUISES) {
    for (const kind of ['linear', 'crypt'] as const) {
      it(
        `is that very layer, and another guest's is refused before and after: ${kind} (${guise})`,
        withMapper({ guise }, async (fixture) => {
          const path = fixture.image();
          const vbd = await addInVain(fixture, `path=${path},layer=${kind}`);
          const { kernelPath, deferred } = only(await layers());
          assert.ok(deferred, 'it has to go with its last close');
          // The process of the test before may take a moment to end.
          await settled(() => void only(processesHolding()));
          await assertBusy(fixture, { path });
          await fixture.blkback.release('open', vbd.key);
          const { dev, size } = await fixture.logged(vbd, 'opened');
          assert.deepEqual([dev, size], [devnumOf(kernelPath), 1024 * 1024]);
          await settled(() => assert.deepEqual(processesHolding(), []));
          await assertBusy(fixture, { path });
          await fixture.delete(vbd);
          await assertAllGone(fixture);
        }),
      );
    }

    for (const [title, held] of [
      ['before it is opened', 'open'],
      ['before blkback has read its number', 'events'],
    ] as const) {
      it(
        `goes with the vbd where that ends ${title} (${guise})`,
        withMapper({ guise }, async (fixture) => {
          const vbd = await addInVain(fixture, `path=${fixture.image()},layer=linear`, held);
          await settled(() => void only(processesHolding()));
          await deleteVbd(fixture.store, vbd);
          await fixture.blkback.release(held, vbd.key);
          await fixture.logged(vbd, 'removed');
          await assertAllGone(fixture);
          await fixture.detach(vbd);
        }),
      );
    }
  }
});
