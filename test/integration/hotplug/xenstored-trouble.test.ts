import assert from 'node:assert/strict';
import { type AttachStep, attach } from '../../../src/hotplug/attach.js';
import { parseVbdPath } from '../../../src/vbd/vbd-path.js';
import { readText } from '../../../src/xenstore/text.js';
import { waitFor } from '../../../src/xenstore/wait-for.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { failure } from '../../bed/assertions.js';
import { startBed } from '../../bed/bed.js';
import type { BlkbackBehaviour } from '../../bed/blkback.js';
import { loopsLeft, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { HOTPLUG_SCRIPT, libxlEnvironment, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { createVbd, deleteVbd, type Vbd, waitInitWait } from '../../bed/toolstack.js';
import { HotplugFixture, MARKER, on } from './fixture.js';
import { assertFailedInTime, START_UP_MS, TIMEOUT_ENV, TIMEOUT_MS } from './in-time.js';

/** The time limit of an attach in this process, which needs no start of Node; milliseconds. */
const HERE_MS = 1500;

describe('an add whose xenstored is in trouble', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it('fails with a sentence where there is none', async () => {
    const path = '/nonexistent/xenstored/socket';
    const env = { XENSTORED_PATH: path, ...libxlEnvironment('backend/vbd/7/51712') };
    const run = await startProgram(HOTPLUG_SCRIPT, ['add'], env).ended;
    assert.equal(run.status, 1);
    assert.match(
      run.stderr,
      /^xen-blkback: [^\n]*xenstored at \/nonexistent[^\n]*running[^\n]*\n$/,
    );
  });

  const STEPS: readonly AttachStep[] = ['planned', 'ready', 'opened', 'published'];
  for (const step of STEPS) {
    it(`fails at once, and leaves no loop device, when it is killed after '${step}'`, async () => {
      const { error, milliseconds, left } = await attachAndStrike('SIGKILL', step);
      assert.equal(code(error), 'ECONNRESET');
      assert.ok(milliseconds < HERE_MS / 2, `${milliseconds} ms`);
      assert.deepEqual(left, []);
    });

    it(`fails within its time, and leaves no loop device, when it hangs after '${step}'`, async () => {
      const { error, milliseconds, left } = await attachAndStrike('SIGSTOP', step);
      assert.equal(code(error), 'ETIMEDOUT');
      assert.match(String(error), /waiting for/);
      assert.ok(milliseconds < HERE_MS + 500, `${milliseconds} ms`);
      assert.deepEqual(left, []);
    });
  }

  for (const [how, signal] of [
    ['is killed', 'SIGKILL'],
    ['hangs', 'SIGSTOP'],
  ] as const) {
    it(`exits with 1 and one line, in time, when it ${how} under the script`, async () => {
      await using bed = await startBed({ noOpen: true });
      await using store = await openStore(bed);
      const params = makeImage(bed.images, { marker: 'x' });
      const vbd = await createVbd(store, { frontend: 7, devid: 51712, params });
      await waitInitWait(store, vbd);
      const env = { ...bed.env, ...libxlEnvironment(vbd.backendPath), ...TIMEOUT_ENV };
      const running = startProgram(HOTPLUG_SCRIPT, ['add'], env);
      await published(store, vbd);
      bed.xenstored.kill(signal);
      const run = await running.ended;
      bed.xenstored.kill('SIGCONT');
      assert.equal(run.status, 1, run.stderr);
      assert.match(run.stderr, /^xen-blkback: [^\n]*backend\/vbd\/7\/51712[^\n]+\n$/);
      assert.ok(run.milliseconds < TIMEOUT_MS + START_UP_MS, `${run.milliseconds} ms`);
      await bed.blkback.stop();
      assert.deepEqual(await loopsLeft(bed.images), []);
    });
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`exits with 1 on ${signal}, and holds for blkback what was published until that is decided`, async () => {
      await using bed = await startBed({ noOpen: true });
      await using store = await openStore(bed);
      const params = makeImage(bed.images, { marker: 'x' });
      const vbd = await createVbd(store, { frontend: 7, devid: 51712, params });
      await waitInitWait(store, vbd);
      const env = { ...bed.env, ...libxlEnvironment(vbd.backendPath) };
      const running = startProgram(HOTPLUG_SCRIPT, ['add'], env);
      await published(store, vbd);
      running.process.kill(signal);
      const run = await running.ended;
      assert.equal(run.status, 1);
      assert.match(run.stderr, new RegExp(`interrupted by ${signal}`));
      const fixture = new HotplugFixture(bed, store);
      const [loop = ''] = fixture.loops();
      await fixture.assertKept(vbd, { message: `interrupted by ${signal}` }, loop);
      await deleteVbd(store, vbd);
      await fixture.logged(vbd, 'removed');
      assert.deepEqual(await loopsLeft(bed.images), []);
    });
  }

  it(
    'exits with 1 and one line, in time, when it hangs from the start',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      fixture.bed.xenstored.kill('SIGSTOP');
      const run = await fixture.script(vbd, 'add', TIMEOUT_ENV);
      fixture.bed.xenstored.kill('SIGCONT');
      assertFailedInTime(run);
      assert.deepEqual(fixture.events(vbd, 'physical-device'), []);
      fixture.assertNothingLeft();
    }),
  );

  it('fails at once when it is killed as soon as blkback has the device open', async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
    const onStep = (step: AttachStep) => step === 'connected' && bed.xenstored.kill('SIGKILL');
    await failure('ECONNRESET', fixture.attach(vbd, { onStep }));
    // The stand-in for the driver ends with xenstored. The driver would not.
    await bed.blkback.stop();
    assert.deepEqual(await loopsLeft(bed.images), []);
    // Another add may have adopted the device, so the record stays until the next remove, or until
    // the daemon removes it.
    assert.deepEqual(fixture.records(), ['vbd-7-51712.json']);
  });

  it(
    'leaves what blkback has open to blkback when it hangs after that',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
      const { xenstored } = fixture.bed;
      const onStep = (step: AttachStep) => step === 'connected' && xenstored.kill('SIGSTOP');
      const error = await failure('ETIMEDOUT', fixture.attach(vbd, { onStep, timeoutMs: 1000 }));
      assert.match(error.message, /waiting for XenStore to take hotplug-status/);
      xenstored.kill('SIGCONT');
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      await fixture.delete(vbd);
      await fixture.detach(vbd);
      fixture.assertNothingLeft();
    }),
  );

  it('succeeds when it is killed after the last step', async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    const vbd = await fixture.vbd(fixture.image());
    const onStep = (step: AttachStep) => step === 'released' && bed.xenstored.kill('SIGKILL');
    assert.equal((await fixture.attach(vbd, { onStep })).already, false);
    await bed.blkback.stop();
    assert.deepEqual(await loopsLeft(bed.images), []);
  });

  it(
    'lets blkback open nothing else when it comes round after the add has given up',
    on({ guise: 'diskseq' }, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const { xenstored } = fixture.bed;
      const onStep = (step: AttachStep) => step === 'published' && xenstored.kill('SIGSTOP');
      const attempt = fixture.attach(vbd, { onStep, timeoutMs: 800 });
      await failure('ETIMEDOUT', attempt);
      xenstored.kill('SIGCONT');
      await deleteVbd(fixture.store, vbd);
      await fixture.logged(vbd, 'removed');
      for (const { bytes } of fixture.events(vbd, 'opened')) assert.equal(bytes, MARKER);
    }),
  );

  it(
    'exits with 1 when its terminal goes (SIGHUP), and blkback opens what was meant all the same',
    on({ hold: true }, async (fixture) => {
      const vbd = await fixture.vbd(fixture.image());
      const running = fixture.startScript(vbd, 'add');
      await fixture.logged(vbd, 'physical-device');
      running.process.kill('SIGHUP');
      const { status, stderr } = await running.ended;
      assert.deepEqual([status, stderr.endsWith(': interrupted by SIGHUP\n')], [1, true], stderr);
      const [loop = ''] = fixture.loops();
      await fixture.assertKept(vbd, { message: 'interrupted by SIGHUP' }, loop);
      fixture.blkback.kill('SIGUSR1');
      assert.equal((await fixture.logged(vbd, 'opened')).bytes, MARKER);
      await deleteVbd(fixture.store, vbd);
      await fixture.logged(vbd, 'closed');
    }),
  );
});

async function published(store: Xenstore, vbd: Vbd): Promise<void> {
  const path = `${vbd.backendPath}/physical-device`;
  await waitFor(store, [path], () => readText(store, path), { signal: AbortSignal.timeout(5000) });
}

/** Attaches in this process. xenstored gets the signal as soon as the step has been done. */
async function attachAndStrike(signal: 'SIGKILL' | 'SIGSTOP', at: AttachStep) {
  const behaviour: BlkbackBehaviour = { noOpen: true };
  await using bed = await startBed(behaviour);
  await using store = await openStore(bed);
  const params = makeImage(bed.images, { marker: 'x' });
  const made = await createVbd(store, { frontend: 7, devid: 51712, params });
  await waitInitWait(store, made);
  const vbd = parseVbdPath(made.backendPath);
  assert.ok(vbd);
  const start = performance.now();
  let error: unknown;
  try {
    await attach(store, vbd, {
      timeoutMs: HERE_MS,
      uapi: 'key',
      sysfs: bed.blkback.sysfs,
      runDirectory: bed.runDirectory,
      onStep: (step) => {
        if (step === at) bed.xenstored.kill(signal);
      },
    });
  } catch (caught) {
    error = caught;
  }
  const milliseconds = performance.now() - start;
  assert.ok(error, 'it was attached');
  bed.xenstored.kill('SIGCONT');
  // A device that may have been published is held until the matter is decided, at the latest by the
  // end of the vbd.
  await bed.blkback.stop();
  return { error, milliseconds, left: await loopsLeft(bed.images) };
}

function code(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error;
}
