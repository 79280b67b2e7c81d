import assert from 'node:assert/strict';
import { only } from '../../bed/assertions.js';
import { attachLoop, diskseqOf, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { waitState } from '../../bed/toolstack.js';
import { runXenBlock } from '../../bed/xen-block.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { type Ground, GUISES, withGround } from './ground.js';
import { assertBusy, assertRemoved } from './guests.js';

async function attachedByBlock(fixture: HotplugFixture, { path }: Ground) {
  const vbd = await fixture.vbd(path, { script: '/etc/xen/scripts/block' });
  assert.equal((await runXenBlock(fixture.bed, vbd, 'add')).status, 0);
  await fixture.logged(vbd, 'opened');
  assert.equal(await fixture.node(vbd, 'hotplug-status'), 'connected');
  return vbd;
}

describe("A vbd that Xen's block script has attached", function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of GUISES) {
    for (const kind of ['file', 'disk'] as const) {
      const title = `with a ${kind} (${guise} blkback)`;

      it(
        `${title} is seen through by our add, and given back by our remove`,
        withGround(kind, { guise }, async (fixture, ground) => {
          const vbd = await attachedByBlock(fixture, ground);
          const before = await fixture.directory(vbd);
          const { status, stderr } = await fixture.script(vbd, 'add');
          assert.deepEqual([status, stderr], [0, '']);
          const after = await fixture.directory(vbd);
          for (const [node, value] of Object.entries(before)) assert.equal(after[node], value);
          assert.equal(fixture.events(vbd, 'opened').length, 1);
          await assertBusy(fixture, ground);
          await fixture.close(vbd);
          await assertRemoved(fixture, vbd);
          fixture.assertNothingLeft();
        }),
      );

      it(
        `${title} stays connected whatever a failing add finds`,
        withGround(kind, { guise }, async (fixture, ground) => {
          const vbd = await attachedByBlock(fixture, ground);
          for (const params of [fixture.image('another'), '/nonexistent', 'what=is this']) {
            await fixture.store.write(`${vbd.backendPath}/params`, params);
            const before = await fixture.nodes(vbd, 'hotplug-status', 'physical-device');
            assert.notEqual((await fixture.script(vbd, 'add')).status, 0, params);
            assert.deepEqual(await fixture.nodes(vbd, 'hotplug-status', 'physical-device'), before);
          }
          assert.equal(await fixture.node(vbd, 'hotplug-status'), 'connected');
          await fixture.store.write(`${vbd.backendPath}/params`, ground.path);
          await fixture.close(vbd);
          await assertRemoved(fixture, vbd);
          fixture.assertNothingLeft();
        }),
      );
    }

    it(
      `a node that stands on another file by now is left alone by our remove (${guise} blkback)`,
      withGround('file', { guise }, async (fixture, ground) => {
        const vbd = await attachedByBlock(fixture, ground);
        const bound = only(fixture.loops());
        await using other = await attachLoop(
          makeImage(fixture.bed.directory, { marker: 'not of this vbd' }),
        );
        await fixture.store.write(`${vbd.backendPath}/node`, other.path);
        await fixture.close(vbd);
        await waitState(fixture.store, vbd, '6');
        await fixture.logged(vbd, 'closed');
        await fixture.script(vbd, 'remove');
        assert.equal(diskseqOf(other.path), other.diskseq, 'it has been unbound');
        await fixture.store.write(`${vbd.backendPath}/node`, bound);
        await runXenBlock(fixture.bed, vbd, 'remove');
      }),
    );
  }
});
