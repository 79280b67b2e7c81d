import assert from 'node:assert/strict';
import { HotplugError } from '../../../src/hotplug/hotplug-error.js';
import { pause } from '../../../src/util/retry.js';
import type { Vbd } from '../../bed/toolstack.js';
import { beforeWriting } from '../hotplug/before-writing.js';
import type { HotplugFixture } from '../hotplug/fixture.js';
import { type Ground, GUISES, type Kind, withGround } from './ground.js';
import { assertBusy, assertTruthStays } from './guests.js';

/** A way in which an add fails between blkback's open and `hotplug-status`. */
interface Cause {
  readonly title: string;
  /** Attaches the vbd and rejects as the add does. */
  readonly attach: (fixture: HotplugFixture, vbd: Vbd, ground: Ground) => Promise<unknown>;
  /** The add may succeed, because a signal may come too late. */
  readonly mayBeServed?: boolean;
}

/** Attaches the vbd and aborts the attach as soon as blkback has the device open. */
export function interrupted(fixture: HotplugFixture, vbd: Vbd): Promise<unknown> {
  const interrupt = new AbortController();
  const reason = new HotplugError('interrupted by SIGTERM', { code: 'ECANCELED' });
  return fixture.attach(vbd, {
    signal: interrupt.signal,
    onStep: (step) => step === 'connected' && interrupt.abort(reason),
  });
}

const CAUSES: readonly Cause[] = [
  { title: 'it is interrupted', attach: interrupted },
  {
    title: 'the device stands on something else meanwhile',
    attach: async (fixture, vbd, ground) => {
      await fixture.blkback.hold('open', vbd.key);
      const adding = fixture.attach(vbd);
      adding.catch(() => {});
      await fixture.logged(vbd, 'physical-device');
      await ground.disturb();
      await fixture.blkback.release('open', vbd.key);
      await adding;
    },
  },
  {
    title: 'the script gets SIGTERM',
    attach: async (fixture, vbd) => {
      await fixture.blkback.hold('open', vbd.key);
      const script = fixture.startScript(vbd, 'add');
      await fixture.logged(vbd, 'physical-device');
      // When the script goes on, the signal is pending and blkback has the device.
      script.process.kill('SIGSTOP');
      await fixture.blkback.release('open', vbd.key);
      await fixture.logged(vbd, 'opened');
      script.process.kill('SIGTERM');
      script.process.kill('SIGCONT');
      const { status, stderr } = await script.ended;
      if (status !== 0) throw new Error(stderr);
    },
    mayBeServed: true,
  },
  {
    title: 'its report is carried out, and the answer to it is lost',
    attach: (fixture, vbd) =>
      fixture.attachThrough(
        beforeWriting(fixture.store, 'hotplug-status', async () => {
          await fixture.store.write(`${vbd.backendPath}/hotplug-status`, 'connected');
          throw new Error('the answer is lost');
        }),
        vbd,
      ),
  },
  {
    title: 'xenstored does not answer until the time for the work is over',
    attach: async (fixture, vbd) => {
      const { xenstored } = fixture.bed;
      await fixture.blkback.hold('open', vbd.key);
      const adding = fixture.attach(vbd, { timeoutMs: 4000 });
      adding.catch(() => {});
      await fixture.logged(vbd, 'physical-device');
      xenstored.kill('SIGSTOP');
      // blkback opens the device at once. Its report in XenStore has to wait, as the add has to.
      const released = fixture.blkback.release('open', vbd.key);
      // One of the four seconds is reserved for the roll-back.
      await pause(3300);
      xenstored.kill('SIGCONT');
      await released;
      await adding;
    },
  },
];

/** Defines the tests of failures after the open for one kind of target. */
export function defineFailuresAfterOpen(kind: Kind): void {
  for (const guise of GUISES) {
    for (const { title, attach, mayBeServed } of CAUSES) {
      it(
        `an add fails after the open as ${title}: the nodes stay, and another guest's is refused (${guise})`,
        withGround(kind, { guise }, async (fixture, ground) => {
          const vbd = await fixture.vbd(ground.path);
          const error = await attach(fixture, vbd, ground).then(
            () => undefined,
            (reason: unknown) => reason,
          );
          await fixture.logged(vbd, 'opened');
          await assertBusy(fixture, ground);
          if (error !== undefined) await assertTruthStays(fixture, vbd);
          else assert.ok(mayBeServed, 'it was to fail');
        }),
      );
    }
  }

  it(
    'blkback says opened of an earlier attempt: the next add connects only to what blkback has',
    withGround(kind, { guise: 'diskseq' }, async (fixture, ground) => {
      const vbd = await fixture.vbd(ground.path);
      await assert.rejects(interrupted(fixture, vbd));
      assert.equal(await fixture.node(vbd, 'opened'), '1');
      const again = await fixture.attach(vbd).then(
        () => 'added',
        () => 'failed',
      );
      const [device, diskseq, status] = await fixture.nodes(
        vbd,
        ...['physical-device', 'diskseq', 'hotplug-status'],
      );
      const opened = await fixture.logged(vbd, 'opened');
      assert.equal(fixture.events(vbd, 'opened').length, 1);
      assert.equal(status === 'connected', again === 'added');
      if (again === 'added') {
        const hex = BigInt(opened.diskseq ?? '').toString(16);
        assert.deepEqual([device, diskseq], [opened.dev, hex]);
      }
      await assertBusy(fixture, ground);
    }),
  );
}
