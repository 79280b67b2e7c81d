import assert from 'node:assert/strict';
import { HotplugError } from '../../../src/hotplug/hotplug-error.js';
import { failure } from '../../bed/assertions.js';
import type { Held } from '../../bed/blkback.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { type HotplugFixture, MARKER } from '../hotplug/fixture.js';
import { GUISES, type Kind, withGround } from './ground.js';
import { assertBusy, assertTruthStays, assertWaitsFor, secondVbd } from './guests.js';

/**
 * Runs an add that gives up while blkback is held up: blkback is about to open the device (`open`),
 * or it has heard nothing of the device yet (`events`). The test has to release blkback.
 */
export async function addInVain(
  fixture: HotplugFixture,
  params: string,
  held: Held = 'open',
): Promise<Vbd> {
  const vbd = await fixture.vbd(params);
  await fixture.blkback.hold(held, vbd.key);
  const deadline = new AbortController();
  const adding = fixture.attach(vbd, { signal: deadline.signal });
  adding.catch(() => {});
  await (held === 'open' ? fixture.logged(vbd, 'physical-device') : fixture.published(vbd));
  deadline.abort(new HotplugError('the deadline passed', { code: 'ETIMEDOUT' }));
  await failure('ETIMEDOUT', adding);
  return vbd;
}

/** Defines the tests of late opens for one kind of target. */
export function defineLateOpens(kind: Kind): void {
  for (const guise of GUISES) {
    it(
      `an add gives up before blkback opens the device: another guest's is refused, before and after (${guise})`,
      withGround(kind, { guise }, async (fixture, ground) => {
        const vbd = await addInVain(fixture, ground.path);
        const before = await fixture.nodes(vbd, 'physical-device', 'diskseq', 'hotplug-status');
        await assertBusy(fixture, ground);
        assert.equal(before[2], 'error');
        assert.notEqual(before[0], undefined, 'blkback may open it yet');
        await fixture.blkback.release('open', vbd.key);
        const { bytes, diskseq = '' } = await fixture.logged(vbd, 'opened');
        assert.equal(bytes, MARKER, 'what was published, and not whatever has its number by then');
        assert.equal(before[1], BigInt(diskseq).toString(16));
        await assertTruthStays(fixture, vbd);
        await assertBusy(fixture, ground);
      }),
    );

    it(
      `the vbd is deleted while blkback is about to open the device: that counts until it is gone (${guise})`,
      withGround(kind, { guise }, async (fixture, ground) => {
        const vbd = await addInVain(fixture, ground.path);
        await fixture.blkback.hold('events', vbd.key);
        await deleteVbd(fixture.store, vbd);
        await assertBusy(fixture, ground);
        await fixture.blkback.release('open', vbd.key);
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
        await assertBusy(fixture, ground);
        const other = await secondVbd(fixture, ground);
        await assertWaitsFor(fixture, other, vbd, () => fixture.blkback.release('events', vbd.key));
      }),
    );

    it(
      `the nodes are taken back while blkback is about to open the device: that counts, and what it has open (${guise})`,
      withGround(kind, { guise }, async (fixture, ground) => {
        const vbd = await addInVain(fixture, ground.path);
        for (const node of ['physical-device', 'physical-device-path', 'diskseq']) {
          await fixture.store.remove(`${vbd.backendPath}/${node}`);
        }
        await assertBusy(fixture, ground);
        await fixture.blkback.release('open', vbd.key);
        assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
        await assertBusy(fixture, ground);
      }),
    );
  }
}
