import assert from 'node:assert/strict';
import { failure } from '../../bed/assertions.js';
import { attachLoop, type Loop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { beforeWriting } from './before-writing.js';
import { type HotplugFixture, on, parse } from './fixture.js';

// A toolstack can make a vbd anew under the same path, for the same disk. Its nodes then read as those
// of the vbd before, and an add of the vbd before must leave them alone all the same.

const REPORT = ['physical-device', 'hotplug-status', 'hotplug-error'] as const;

/** Makes the vbd anew, as a guest that is destroyed and started again gets it. */
async function makeAnew(fixture: HotplugFixture, vbd: Vbd, disk: Loop): Promise<Vbd> {
  await deleteVbd(fixture.store, vbd);
  await fixture.logged(vbd, 'removed');
  return await fixture.vbd(disk.path, { devid: parse(vbd).devid });
}

describe('An add of a vbd that is made anew meanwhile', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(
      `takes back nothing that the new vbd names, and reports no failure to it (${guise} blkback)`,
      on({ guise }, async (fixture) => {
        await using disk = await attachLoop(fixture.image());
        const vbd = await fixture.vbd(disk.path);
        await fixture.blkback.hold('events', vbd.key);
        // The first roll-back of the add is late: by then the new vbd has the disk.
        const late = beforeWriting(
          fixture.store,
          'physical-device',
          async () => {
            await fixture.blkback.release('events', vbd.key);
            await fixture.attach(await makeAnew(fixture, vbd, disk));
          },
          'remove',
        );
        const added = fixture.attachThrough(late, vbd);
        added.catch(() => undefined);
        await fixture.published(vbd);
        await fixture.store.write(`${vbd.errorPath}`, '2 the driver has failed');
        await assert.rejects(added);
        assert.deepEqual(await fixture.nodes(vbd, ...REPORT), [
          disk.devnum,
          'connected',
          undefined,
        ]);
      }),
    );

    it(
      `reports no success for the new vbd, whose disk blkback has not opened (${guise} blkback)`,
      on({ guise }, async (fixture) => {
        await using disk = await attachLoop(fixture.image());
        const vbd = await fixture.vbd(disk.path);
        const late = beforeWriting(fixture.store, 'hotplug-status', async () => {
          const anew = await makeAnew(fixture, vbd, disk);
          await fixture.blkback.hold('open', anew.key);
          await fixture.store.write(`${anew.backendPath}/physical-device`, disk.devnum);
        });
        await failure('EGONE', fixture.attachThrough(late, vbd));
        assert.deepEqual(await fixture.nodes(vbd, ...REPORT), [disk.devnum, undefined, undefined]);
        await fixture.blkback.release('open', vbd.key);
      }),
    );
  }
});
