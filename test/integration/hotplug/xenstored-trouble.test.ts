import assert from 'node:assert/strict';
import { type AttachStep, attach } from '../../../src/hotplug/attach.js';
import { readText } from '../../../src/xenstore/text.js';
import { parseVbdPath } from '../../../src/xenstore/vbd-path.js';
import { waitFor } from '../../../src/xenstore/wait-for.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { startBed } from '../../bed/bed.js';
import type { BlkbackBehaviour } from '../../bed/blkback.js';
import { loopsLeft, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { HOTPLUG_SCRIPT, libxlEnvironment, startProgram } from '../../bed/script.js';
import { openStore } from '../../bed/store.js';
import { createVbd, type Vbd, waitInitWait } from '../../bed/toolstack.js';

const TIMEOUT_MS = 3000;
/** Starting Node, on a machine that does other things too. */
const START_UP_MS = 2000;

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

  const STEPS: readonly AttachStep[] = ['planned', 'opened', 'ready', 'published'];
  for (const step of STEPS) {
    it(`fails at once, and leaves no loop device, when it is killed after '${step}'`, async () => {
      const { error, milliseconds, left } = await attachAndStrike('SIGKILL', step);
      assert.equal(code(error), 'ECONNRESET');
      assert.ok(milliseconds < TIMEOUT_MS / 2, `${milliseconds} ms`);
      assert.deepEqual(left, []);
    });

    it(`fails within its time, and leaves no loop device, when it hangs after '${step}'`, async () => {
      const { error, milliseconds, left } = await attachAndStrike('SIGSTOP', step);
      assert.equal(code(error), 'ETIMEDOUT');
      assert.match(String(error), /waiting for/);
      assert.ok(milliseconds < TIMEOUT_MS + 500, `${milliseconds} ms`);
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
      const env = {
        ...bed.env,
        ...libxlEnvironment(vbd.backendPath),
        XEN_BLKBACK_TIMEOUT: String(TIMEOUT_MS / 1000),
      };
      const running = startProgram(HOTPLUG_SCRIPT, ['add'], env);
      await published(store, vbd);
      bed.xenstored.kill(signal);
      const run = await running.ended;
      bed.xenstored.kill('SIGCONT');
      assert.equal(run.status, 1, run.stderr);
      assert.match(run.stderr, /^xen-blkback: [^\n]*backend\/vbd\/7\/51712[^\n]+\n$/);
      assert.ok(run.milliseconds < TIMEOUT_MS + START_UP_MS, `${run.milliseconds} ms`);
      assert.deepEqual(await loopsLeft(bed.images), []);
    });
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`rolls back and exits with 1 on ${signal}`, async () => {
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
      const nodes = ['physical-device', 'diskseq', 'hotplug-status', 'hotplug-error'];
      const values = await store.readMany(nodes.map((node) => `${vbd.backendPath}/${node}`));
      assert.deepEqual(
        values.map((value) => value?.toString()),
        [undefined, undefined, 'error', `interrupted by ${signal}`],
      );
      assert.deepEqual(await loopsLeft(bed.images), []);
    });
  }
});

async function published(store: Xenstore, vbd: Vbd): Promise<void> {
  const path = `${vbd.backendPath}/physical-device`;
  await waitFor(store, [path], () => readText(store, path), { signal: AbortSignal.timeout(5000) });
}

/** Attaches in this process; xenstored gets the signal as soon as the step has been done. */
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
      timeoutMs: TIMEOUT_MS,
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
  const left = await loopsLeft(bed.images);
  bed.xenstored.kill('SIGCONT');
  return { error, milliseconds, left };
}

function code(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error;
}
