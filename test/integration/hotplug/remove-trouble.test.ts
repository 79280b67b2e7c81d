import assert from 'node:assert/strict';
import { on as eventsOf } from 'node:events';
import type { Readable } from 'node:stream';
import type { DetachStep } from '../../../src/hotplug/detach.js';
import { failure } from '../../bed/assertions.js';
import { startBed } from '../../bed/bed.js';
import { within } from '../../bed/deadline.js';
import { needs } from '../../bed/needs.js';
import { CLI, type Running, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture, on } from './fixture.js';
import { assertFailedInTime, TIMEOUT_ENV } from './in-time.js';

describe('a remove in trouble', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'ends in time when xenstored hangs, and can be repeated',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
      await fixture.attach(vbd);
      await fixture.close(vbd);
      await fixture.logged(vbd, 'closed');
      fixture.bed.xenstored.kill('SIGSTOP');
      const run = await fixture.script(vbd, 'remove', TIMEOUT_ENV);
      fixture.bed.xenstored.kill('SIGCONT');
      assertFailedInTime(run);
      assert.equal((await fixture.script(vbd, 'remove')).status, 0);
      fixture.assertNothingLeft();
    }),
  );

  it('ends at once when xenstored is killed while it waits', async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    const vbd = await fixture.vbd(fixture.image());
    const onStep = (step: DetachStep) => step === 'planned' && bed.xenstored.kill('SIGKILL');
    await failure('ECONNRESET', fixture.detach(vbd, { onStep }));
  });

  it(
    'says that it was interrupted by SIGTERM, and can be repeated',
    on({ holdClose: true }, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      await fixture.attach(vbd);
      await fixture.close(vbd);
      await fixture.logged(vbd, 'removed');
      const env = { ...fixture.bed.env };
      const running = startProgram(process.execPath, [CLI, 'remove', vbd.backendPath, '-v'], env);
      await saying(running, /ms {2}closed/);
      running.process.kill('SIGTERM');
      const { status, stderr } = await running.ended;
      assert.equal(status, 1);
      assert.match(stderr, /^xen-blkback: [^\n]*interrupted by SIGTERM\n$/m);
      fixture.blkback.kill('SIGUSR2');
      await fixture.detach(vbd);
      fixture.assertNothingLeft();
    }),
  );
});

/** Resolves when the program has written such a text to stderr. */
async function saying({ process: child }: Running, text: RegExp): Promise<void> {
  let said = '';
  await within(
    5000,
    () => `${text}, but it said: ${said}`,
    async (signal) => {
      for await (const [chunk] of eventsOf(child.stderr as Readable, 'data', { signal })) {
        said += String(chunk);
        if (text.test(said)) return;
      }
    },
  );
}
