import assert from 'node:assert/strict';
import { attachLoop, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { waitState } from '../../bed/toolstack.js';
import { runXenBlock } from '../../bed/xen-block.js';
import { diskseqOf, only, type Stage } from '../hotplug/stage.js';
import { type Ground, GUISES, withGround } from './ground.js';
import { assertBusy, assertRemoved } from './guests.js';

async function attachedByBlock(stage: Stage, { path }: Ground) {
  const vbd = await stage.vbd(path, { script: '/etc/xen/scripts/block' });
  assert.equal((await runXenBlock(stage.bed, vbd, 'add')).status, 0);
  await stage.logged(vbd, 'opened');
  assert.equal(await stage.node(vbd, 'hotplug-status'), 'connected');
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
        withGround(kind, { guise }, async (stage, ground) => {
          const vbd = await attachedByBlock(stage, ground);
          const before = await stage.directory(vbd);
          const { status, stderr } = await stage.script(vbd, 'add');
          assert.deepEqual([status, stderr], [0, '']);
          const after = await stage.directory(vbd);
          for (const [node, value] of Object.entries(before)) assert.equal(after[node], value);
          assert.equal(stage.events(vbd, 'opened').length, 1);
          await assertBusy(stage, ground);
          await stage.close(vbd);
          await assertRemoved(stage, vbd);
          stage.assertNothingLeft();
        }),
      );

      it(
        `${title} stays connected whatever a failing add finds`,
        withGround(kind, { guise }, async (stage, ground) => {
          const vbd = await attachedByBlock(stage, ground);
          for (const params of [stage.image('another'), '/nonexistent', 'what=is this']) {
            await stage.store.write(`${vbd.backendPath}/params`, params);
            const before = await stage.nodes(vbd, 'hotplug-status', 'physical-device');
            assert.notEqual((await stage.script(vbd, 'add')).status, 0, params);
            assert.deepEqual(await stage.nodes(vbd, 'hotplug-status', 'physical-device'), before);
          }
          assert.equal(await stage.node(vbd, 'hotplug-status'), 'connected');
          await stage.store.write(`${vbd.backendPath}/params`, ground.path);
          await stage.close(vbd);
          await assertRemoved(stage, vbd);
          stage.assertNothingLeft();
        }),
      );
    }

    it(
      `a node that stands on another file by now is left alone by our remove (${guise} blkback)`,
      withGround('file', { guise }, async (stage, ground) => {
        const vbd = await attachedByBlock(stage, ground);
        const bound = only(stage.loops());
        await using other = await attachLoop(
          makeImage(stage.bed.directory, { marker: 'not of this vbd' }),
        );
        await stage.store.write(`${vbd.backendPath}/node`, other.path);
        await stage.close(vbd);
        await waitState(stage.store, vbd, '6');
        await stage.logged(vbd, 'closed');
        await stage.script(vbd, 'remove');
        assert.equal(diskseqOf(other.path), other.diskseq, 'it has been unbound');
        await stage.store.write(`${vbd.backendPath}/node`, bound);
        await runXenBlock(stage.bed, vbd, 'remove');
      }),
    );
  }
});
