import assert from 'node:assert/strict';
import { dmsetup, linear, mappedNames } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { built } from '../../bed/paths.js';
import { deleteVbd } from '../../bed/toolstack.js';
import { MARKER } from '../hotplug/fixture.js';
import { dmsetupNow, withMapper } from './bench.js';

const MARK = /DEFERRED REMOVE/;
const marked = async (name: string) => MARK.test(await dmsetup('info', name));

describe('deferred-remove', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(
      `the device goes with the guest, and all below it, by nobody's doing (${guise} blkback)`,
      withMapper({ guise }, async (fixture, bench) => {
        // Only the mapper device holds the loop device, so the loop device clears itself
        // afterwards.
        const disk = await bench.disk(MARKER);
        const { name } = await bench.mapped('bench-disk', linear(disk.path));
        await disk.detach();
        const vbd = await fixture.vbd(`dm-name=${name},deferred-remove=yes`);
        assert.equal((await fixture.script(vbd, 'add')).status, 0);
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
        assert.ok(await marked(name));
        await deleteVbd(fixture.store, vbd);
        await fixture.logged(vbd, 'closed');
        assert.deepEqual(await bench.mappedLeft(), []);
        assert.deepEqual(await bench.loopsLeft(), []);
      }),
    );
  }

  it(
    'a guest that moves has it at both ends: the mark of the one is no reason to refuse the other',
    withMapper({}, async (fixture, bench) => {
      const { name } = await bench.linear(MARKER);
      const params = `dm-name=${name},deferred-remove=yes,sharing=allow`;
      const leaving = await fixture.vbd(params);
      await fixture.attach(leaving);
      assert.ok(await marked(name));
      const coming = await fixture.vbd(params);
      await fixture.attach(coming);
      await deleteVbd(fixture.store, leaving);
      await fixture.logged(leaving, 'closed');
      assert.deepEqual(await bench.mappedLeft(), [name]);
      await deleteVbd(fixture.store, coming);
      await fixture.logged(coming, 'closed');
      assert.deepEqual(await bench.mappedLeft(), []);
    }),
  );

  it(
    'it is marked only once blkback has it open',
    withMapper({ hold: true }, async (fixture, bench) => {
      const { name } = await bench.linear(MARKER);
      const vbd = await fixture.vbd(`dm-name=${name},deferred-remove=yes`);
      const steps: string[] = [];
      const adding = fixture.attach(vbd, {
        onStep: (step) => {
          if (MARK.test(dmsetupNow('info', name))) steps.push(step);
        },
      });
      await fixture.logged(vbd, 'physical-device');
      assert.ok(!(await marked(name)));
      fixture.blkback.kill('SIGUSR1');
      await adding;
      assert.deepEqual(steps, ['marked', 'released']);
    }),
  );

  it(
    'a device that blkback could not open stays, unmarked',
    withMapper({ failOpen: 5 }, async (fixture, bench) => {
      const { name } = await bench.linear(MARKER);
      const vbd = await fixture.vbd(`dm-name=${name},deferred-remove=yes`);
      await assert.rejects(fixture.attach(vbd), /creating vbd structure/);
      assert.ok(!(await marked(name)));
    }),
  );

  it(
    'another add of what is attached already leaves it as it is',
    withMapper({}, async (fixture, bench) => {
      const { name } = await bench.linear(MARKER);
      const vbd = await fixture.vbd(`dm-name=${name},deferred-remove=yes`);
      await fixture.attach(vbd);
      assert.equal((await fixture.attach(vbd)).already, true);
      assert.ok((await mappedNames()).includes(name));
      assert.ok(await marked(name));
    }),
  );

  it(
    'if it cannot be marked the guest is served all the same, and that is told',
    withMapper({ guise: 'diskseq' }, async (fixture, bench) => {
      const mapped = await bench.linear(MARKER);
      const vbd = await fixture.vbd(`dm-name=${mapped.name},deferred-remove=yes`);
      const { status, stderr } = await fixture.script(vbd, 'add', {
        LD_PRELOAD: built('fail-ioctl.so'),
        FAIL_REQUEST: 'c138fd04',
        FAIL_ERRNO: '12',
      });
      assert.equal(status, 0);
      assert.match(stderr, /deferred removal/);
      await fixture.assertConnected(vbd, mapped.kernelPath, mapped.diskseq);
      assert.ok(!(await marked(mapped.name)));
    }),
  );
});
