import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import type { BlkbackBehaviour } from '../bed/blkback.js';
import { attachLoop, loopsOf, makeImage } from '../bed/images.js';
import { needs } from '../bed/needs.js';
import { closeVbd, deleteVbd, setFrontendState, type Vbd, waitState } from '../bed/toolstack.js';
import { runXenBlock } from '../bed/xen-block.js';
import { BedFixture, MARKER } from './bed-fixture.js';

describe('host bed', () => {
  let fixture: BedFixture;

  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  afterEach(() => fixture?.[Symbol.asyncDispose]());

  describe('the end of a vbd', () => {
    async function opened(behaviour: BlkbackBehaviour = {}): Promise<Vbd> {
      fixture = await BedFixture.start(behaviour);
      const vbd = await fixture.vbd();
      await fixture.publish(vbd, fixture.loop.devnum);
      await fixture.logged(vbd, 'opened');
      // From here on only blkback holds the loop device, and its close clears it.
      await fixture.loop.detach();
      return vbd;
    }

    it('takes the sysfs entry first and closes later', async () => {
      const vbd = await opened({ holdClose: true });
      await closeVbd(fixture.bed.tools, vbd);
      await fixture.logged(vbd, 'removed');
      assert.ok(!existsSync(fixture.sysfs(vbd)));
      assert.equal(await fixture.node(vbd, 'state'), '6');
      assert.deepEqual(loopsOf(fixture.bed.images), [fixture.loop.path]);
      fixture.bed.blkback.kill('SIGUSR2');
      await fixture.logged(vbd, 'closed');
      assert.deepEqual(loopsOf(fixture.bed.images), []);
    });

    it('comes with the end of the backend directory', async () => {
      const vbd = await opened();
      await fixture.bed.tools.remove(vbd.backendPath);
      await fixture.logged(vbd, 'closed');
      assert.equal(await fixture.bed.tools.exists(vbd.backendPath), false);
    });

    it('comes with the end of a directory above', async () => {
      const vbd = await opened();
      await fixture.bed.tools.remove('backend/vbd');
      await fixture.logged(vbd, 'closed');
    });

    it('comes with the end of the frontend, and is answered', async () => {
      const vbd = await opened();
      await fixture.bed.tools.write({ [`${vbd.backendPath}/state`]: '5' });
      await fixture.bed.tools.remove(vbd.frontendPath);
      await fixture.logged(vbd, 'closed');
      assert.equal(await fixture.node(vbd, 'state'), '6');
    });

    it('does not come when the guest reboots', async () => {
      const vbd = await opened();
      await setFrontendState(fixture.bed.tools, vbd, 4);
      await waitState(fixture.bed.tools, vbd, '4');
      assert.equal(await fixture.node(vbd, 'sectors'), '2048');
      await setFrontendState(fixture.bed.tools, vbd, 6);
      await waitState(fixture.bed.tools, vbd, '6');
      await setFrontendState(fixture.bed.tools, vbd, 1);
      await waitState(fixture.bed.tools, vbd, '2');
      assert.deepEqual(loopsOf(fixture.bed.images), [fixture.loop.path]);
      assert.equal(fixture.openings(vbd), 1);
    });

    it('is that of one instance: the same path made anew is another vbd', async () => {
      const vbd = await opened({ holdClose: true });
      const end = fixture.logged(vbd, 'removed');
      await deleteVbd(fixture.bed.tools, vbd);
      const again = await fixture.vbd();
      const probe = await fixture.logged(again, 'probe', await end);
      fixture.bed.blkback.kill('SIGUSR2');
      await fixture.logged(vbd, 'closed');
      fixture.loop = await attachLoop(makeImage(fixture.bed.images, { marker: 'the next disk' }));
      await fixture.publish(again, fixture.loop.devnum);
      assert.equal((await fixture.logged(again, 'opened', probe)).bytes, 'the next disk');
    });

    it('during a late open never brings the backend back', async () => {
      fixture = await BedFixture.start({ guise: 'diskseq', hold: true });
      const vbd = await fixture.vbd();
      await fixture.publish(vbd, fixture.loop.devnum, fixture.diskseq);
      await fixture.logged(vbd, 'physical-device');
      await deleteVbd(fixture.bed.tools, vbd);
      fixture.bed.blkback.kill('SIGUSR1');
      // The driver did not hear of the end in time, so it opens the device and closes it at once.
      await fixture.logged(vbd, 'opened');
      await fixture.logged(vbd, 'closed');
      assert.equal(await fixture.bed.tools.exists(vbd.backendPath), false);
    });

    it('is that of all vbds when blkback ends', async () => {
      await opened();
      await fixture.bed.restartBlkback();
      assert.deepEqual(loopsOf(fixture.bed.images), []);
    });
  });

  describe("Xen's own block script", () => {
    it('adds a file and removes it', async function () {
      this.slow(5000);
      fixture = await BedFixture.start({ guise: 'stock' });
      await fixture.loop.detach();
      const file = makeImage(fixture.bed.images, { marker: MARKER });
      const vbd = await fixture.vbd({ params: file });
      assert.equal((await runXenBlock(fixture.bed, vbd, 'add')).status, 0);
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      assert.equal(await fixture.node(vbd, 'hotplug-status'), 'connected');
      assert.equal(loopsOf(fixture.bed.images).length, 1);
      await closeVbd(fixture.bed.tools, vbd);
      await waitState(fixture.bed.tools, vbd, '6');
      await fixture.logged(vbd, 'closed');
      assert.equal((await runXenBlock(fixture.bed, vbd, 'remove')).status, 0);
      assert.deepEqual(loopsOf(fixture.bed.images), []);
    });
  });
});
