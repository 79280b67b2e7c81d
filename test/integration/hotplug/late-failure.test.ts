import assert from 'node:assert/strict';
import { failure } from '../../bed/assertions.js';
import { attachLoop } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import type { Vbd } from '../../bed/toolstack.js';
import { type HotplugFixture, on } from './fixture.js';

/** The time from the late failure to the open of the next device, which is a slow disk. */
const SLOW_MS = 4000;

describe('An open that fails after its publication has been taken back', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  /**
   * Lets an add be killed while blkback hangs on the disk `first`, removes the vbd, and has the next
   * add publish `second`. blkback then fails to open `first`, as that is another disk by now.
   */
  async function publishTwice(
    fixture: HotplugFixture,
    { vbd, second }: { vbd: Vbd; second: string },
    afterPublication: () => Promise<void>,
  ): Promise<void> {
    await fixture.blkback.hold('open', vbd.key);
    const killed = fixture.startScript(vbd, 'add');
    await fixture.published(vbd);
    killed.process.kill('SIGKILL');
    await killed.ended;
    await fixture.detach(vbd);
    await fixture.store.write(`${vbd.backendPath}/params`, second);
    await afterPublication();
  }

  /** Asserts that nobody else gets a disk that blkback opens for a vbd after some time. */
  async function assertKept(
    fixture: HotplugFixture,
    vbd: Vbd,
    disk: { readonly path: string; readonly devnum: string },
  ): Promise<void> {
    const other = await fixture.vbd(disk.path, { frontend: 9 });
    await failure('EBUSY', fixture.attach(other));
    const { dev } = await fixture.logged(vbd, 'opened');
    assert.equal(dev, disk.devnum);
    await fixture.delete(other);
    await fixture.delete(vbd);
  }

  it(
    'is not taken for the failure of the next publication, which blkback opens later',
    on({ guise: 'diskseq', delayMs: SLOW_MS }, async (fixture) => {
      await using first = await attachLoop(fixture.image());
      await using second = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(first.path);
      await publishTwice(fixture, { vbd, second: second.path }, async () => {
        const added = failure('EBLKBACK', fixture.attach(vbd));
        await fixture.published(vbd);
        await first.detach();
        await fixture.blkback.release('open', vbd.key);
        await added;
      });
      // blkback reads the number of the second disk now, and opens it after some time.
      await assertKept(fixture, vbd, second);
    }),
  );

  it(
    'does not keep a remove from announcing that blkback may open the next one',
    on({ guise: 'diskseq', delayMs: SLOW_MS }, async (fixture) => {
      await using first = await attachLoop(fixture.image());
      await using second = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(first.path);
      await publishTwice(fixture, { vbd, second: second.path }, async () => {
        const killed = fixture.startScript(vbd, 'add');
        await fixture.published(vbd);
        killed.process.kill('SIGKILL');
        await killed.ended;
        await first.detach();
        await fixture.blkback.release('open', vbd.key);
        await fixture.logged(vbd, 'error');
      });
      await fixture.detach(vbd);
      await assertKept(fixture, vbd, second);
    }),
  );
});
