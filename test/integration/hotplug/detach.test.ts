import assert from 'node:assert/strict';
import { HotplugError } from '../../../src/hotplug/hotplug-error.js';
import { failure, only } from '../../bed/assertions.js';
import { attachLoop, diskseqOf } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { setFrontendState, waitState } from '../../bed/toolstack.js';
import { on } from './fixture.js';

describe('detach', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    describe(`from a ${guise} blkback`, () => {
      it(
        'the script removes a file: nothing is left, neither nodes nor a loop device',
        on({ guise }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          const before = await fixture.directory(vbd);
          await fixture.attach(vbd);
          await fixture.close(vbd);
          const { status, stdout, stderr } = await fixture.script(vbd, 'remove');
          assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
          assert.deepEqual(Object.keys(await fixture.directory(vbd)), Object.keys(before));
          assert.equal(fixture.events(vbd, 'closed').length, 1);
          fixture.assertNothingLeft();
        }),
      );

      it(
        'needs no remove: the loop device goes with the nodes',
        on({ guise }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          await fixture.attach(vbd);
          only(fixture.loops());
          await fixture.delete(vbd);
          fixture.assertNothingLeft();
        }),
      );

      it(
        'the script succeeds after the nodes are gone, for a file, a disk, and one kept on purpose',
        on({ guise }, async (fixture) => {
          await using loop = await attachLoop(fixture.image());
          for (const params of [
            fixture.image(),
            loop.path,
            `path=${fixture.image()},autoclear=no`,
          ]) {
            const vbd = await fixture.vbd(params);
            await fixture.attach(vbd);
            await fixture.delete(vbd);
            const { status, stderr } = await fixture.script(vbd, 'remove');
            assert.deepEqual([status, stderr], [0, '']);
            assert.equal(await fixture.exists(vbd.backendPath), false, 'it was brought back');
            fixture.assertNothingLeft(loop);
          }
        }),
      );

      it(
        'succeeds again, and where nothing was attached, and where there never was a vbd',
        on({ guise }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          await fixture.detach(vbd);
          await fixture.attach(vbd);
          await fixture.close(vbd);
          await fixture.detach(vbd);
          await fixture.detach(vbd);
          assert.equal((await fixture.script(vbd, 'remove')).status, 0);
          assert.equal((await fixture.script('backend/vbd/99/51712', 'remove')).status, 0);
          assert.equal(await fixture.exists('backend/vbd/99'), false);
        }),
      );

      it(
        'is refused while the guest uses the disk, and changes nothing',
        on({ guise }, async (fixture) => {
          await using loop = await attachLoop(fixture.image('a disk'));
          for (const params of [fixture.image(), loop.path]) {
            const vbd = await fixture.vbd(params);
            await fixture.attach(vbd);
            const before = [await fixture.directory(vbd), fixture.loops(), fixture.records()];
            const error = await failure('EONLINE', fixture.detach(vbd));
            assert.match(error.message, /online.*open/);
            const { status, stderr } = await fixture.script(vbd, 'remove');
            assert.equal(status, 1);
            assert.equal(stderr, `xen-blkback: ${error.message}\n`);
            const {
              'hotplug-error': _,
              'hotplug-status': __,
              ...nodes
            } = before[0] as Record<string, string>;
            const after = await fixture.directory(vbd);
            for (const [name, value] of Object.entries(nodes)) assert.equal(after[name], value);
            assert.deepEqual([fixture.loops(), fixture.records()], before.slice(1));
            assert.deepEqual(fixture.events(vbd, 'removed', 'closed'), []);
            await fixture.close(vbd);
            await fixture.detach(vbd);
          }
        }),
      );

      it(
        'leaves the disk of a guest that reboots',
        on({ guise }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          await fixture.attach(vbd);
          const loop = only(fixture.loops());
          const diskseq = diskseqOf(loop);
          await setFrontendState(fixture.store, vbd, 4);
          await waitState(fixture.store, vbd, '4');
          await setFrontendState(fixture.store, vbd, 6);
          await waitState(fixture.store, vbd, '6');
          await failure('EONLINE', fixture.detach(vbd));
          await setFrontendState(fixture.store, vbd, 1);
          await waitState(fixture.store, vbd, '2');
          assert.equal((await fixture.attach(vbd)).already, true);
          assert.equal(diskseqOf(loop), diskseq);
          assert.equal(fixture.events(vbd, 'opened').length, 1);
          await fixture.assertConnected(vbd, loop);
        }),
      );

      it(
        'returns no sooner than blkback has really closed the device',
        on({ guise, closeDelayMs: 300 }, async (fixture) => {
          const vbd = await fixture.vbd(fixture.image());
          await fixture.attach(vbd);
          await fixture.close(vbd);
          await fixture.detach(vbd);
          assert.equal(fixture.events(vbd, 'closed').length, 1);
          fixture.assertNothingLeft();
        }),
      );
    });
  }

  it(
    'attaches anew what was removed',
    on({ guise: 'diskseq' }, async (fixture) => {
      const image = fixture.image();
      const numbers = new Set<string>();
      for (let i = 0; i < 3; i++) {
        const vbd = await fixture.vbd(image, { devid: 51712 });
        await fixture.attach(vbd);
        const loop = only(fixture.loops());
        numbers.add(diskseqOf(loop));
        await fixture.close(vbd);
        await fixture.detach(vbd);
        fixture.assertNothingLeft();
        // The next vbd has the same name, and its events would be in the same log.
        await fixture.delete(vbd);
        await fixture.bed.restartBlkback();
      }
      assert.equal(numbers.size, 3);
    }),
  );

  it(
    'says that it was interrupted, not that its time was up',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      await fixture.attach(vbd);
      await fixture.store.write(`${vbd.backendPath}/online`, '0');
      const interrupt = new AbortController();
      const reason = new HotplugError('interrupted by SIGTERM', { code: 'ECANCELED' });
      const attempt = fixture.detach(vbd, {
        signal: interrupt.signal,
        onStep: (step) => step === 'planned' && interrupt.abort(reason),
      });
      const error = await failure('ECANCELED', attempt);
      assert.match(error.message, /interrupted by SIGTERM/);
      only(fixture.loops());
    }),
  );
});
