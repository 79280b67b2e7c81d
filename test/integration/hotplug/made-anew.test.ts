import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { pause } from '../../../src/util/retry.js';
import { failure } from '../../bed/assertions.js';
import { attachLoop, type Loop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { withReads } from '../../store/with-reads.js';
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
        await fixture.store.write(`${vbd.errorPath}`, '19 creating vbd structure');
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

  it(
    'attaches the new vbd where blkback had let go of the one before, and was not ready yet',
    on({}, async (fixture) => {
      const params = fixture.image();
      const vbd = await fixture.vbd(params);
      let isAnew = false;
      const late = withReads(fixture.store, async (read, paths) => {
        const values = await read();
        if (!isAnew && paths.some((path) => path.endsWith('/state'))) {
          isAnew = true;
          await deleteVbd(fixture.store, vbd);
          await fixture.logged(vbd, 'removed');
          await fixture.create(params, { devid: parse(vbd).devid, omit: ['state'] });
          setTimeout(() => void fixture.store.write(`${vbd.backendPath}/state`, '1'), 200);
        }
        return values;
      });
      await fixture.attachThrough(late, vbd);
      assert.equal(fixture.events(vbd, 'opened').length, 1);
    }),
  );

  it(
    'attaches the new vbd where the nodes that it has read named the device of the one before',
    on({}, async (fixture) => {
      await using disk = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(disk.path);
      await fixture.attach(vbd);
      let isAnew = false;
      const late = withReads(fixture.store, async (read, paths) => {
        const values = await read();
        if (!isAnew && paths.some((path) => path.endsWith('/hotplug-status'))) {
          isAnew = true;
          await makeAnew(fixture, vbd, disk);
        }
        return values;
      });
      const { already } = await fixture.attachThrough(late, vbd, { timeoutMs: 3000 });
      assert.equal(already, false);
      assert.deepEqual(await fixture.nodes(vbd, ...REPORT), [disk.devnum, 'connected', undefined]);
      assert.equal(fixture.events(vbd, 'opened').length, 2);
    }),
  );
});

describe('A remove of a vbd that is made anew meanwhile', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'takes back nothing that the new vbd names',
    on({}, async (fixture) => {
      await using disk = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(disk.path);
      await fixture.attach(vbd);
      let adding: Promise<unknown> | undefined;
      const late = withReads(fixture.store, async (read, paths) => {
        const values = await read();
        if (adding === undefined && paths.some((path) => path.endsWith('/physical-device'))) {
          const anew = await makeAnew(fixture, vbd, disk);
          await fixture.blkback.hold('open', anew.key);
          adding = fixture.attach(anew);
          adding.catch(() => undefined);
          await fixture.published(anew);
        }
        return values;
      });
      await fixture.detachThrough(late, vbd);
      await fixture.blkback.release('open', vbd.key);
      await adding;
      assert.deepEqual(await fixture.nodes(vbd, ...REPORT), [disk.devnum, 'connected', undefined]);
    }),
  );

  it(
    'reports no failure to the new vbd',
    on({}, async (fixture) => {
      await using disk = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(fixture.image('a file of its own'));
      await fixture.attach(vbd);
      const holder = await open((await fixture.node(vbd, 'physical-device-path')) ?? '', 'r');
      await fixture.close(vbd);
      const removing = fixture.detach(vbd, { timeoutMs: 2500 });
      removing.catch(() => undefined);
      await pause(500);
      await fixture.attach(await makeAnew(fixture, vbd, disk));
      await assert.rejects(removing);
      await holder.close();
      assert.deepEqual(await fixture.nodes(vbd, ...REPORT), [disk.devnum, 'connected', undefined]);
    }),
  );
});
