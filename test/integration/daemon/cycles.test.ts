import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { pause } from '../../../src/util/retry.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import { startDaemon } from '../../bed/daemon.js';
import { within } from '../../bed/deadline.js';
import { effort } from '../../bed/effort.js';
import { loopsLeft, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { built } from '../../bed/paths.js';
import { type ProcessState, processState } from '../../bed/process-state.js';
import { Stopwatch } from '../../bed/stopwatch.js';
import { openStore } from '../../bed/store.js';
import { closeVbd, createVbd, deleteVbd, waitInitWait, waitState } from '../../bed/toolstack.js';

/** The number of cycles. `npm run test:soak` sets it to 10,000. */
const CYCLES = Number(process.env.XEN_BLKBACK_CYCLES ?? effort(400, 40));
/** The number of cycles after which all code is compiled and all caches are filled. */
const WARM_UP = 500;
const LANES = 8;

describe('the daemon over many attaches and detaches', function () {
  this.timeout(60_000 + CYCLES * 500);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(`does not grow in ${CYCLES} cycles, and leaves nothing behind`, async () => {
    await using bed = await startBed({ closeDelayMs: 1 }, { trace: true });
    await using store = await openStore(bed);
    await using daemon = await startDaemon(bed);
    const { pid } = daemon.child;
    const images = Array.from({ length: LANES }, (_, lane) =>
      makeImage(bed.images, { marker: `lane ${lane}` }),
    );
    const [add, remove] = await Promise.all([
      Stopwatch.start([built('block-diskseq'), 'add'], daemon.env),
      Stopwatch.start([built('block-diskseq'), 'remove'], daemon.env),
    ]);
    await using _add = add;
    await using _remove = remove;
    const run = (count: number, first: number): Promise<void> =>
      inLanes(count, async (index, lane) => {
        await cycle(
          bed,
          store,
          { add, remove },
          1 + ((first + index) % 30_000),
          images[lane] ?? '',
        );
      });
    await run(WARM_UP, 0);
    const before = await restingState(pid);
    const start = performance.now();
    await run(CYCLES, WARM_UP);
    const seconds = (performance.now() - start) / 1000;
    const after = await restingState(pid);
    console.log(`      ${describeState(before)}, then ${describeState(after)}`);
    console.log(`      ${(CYCLES / seconds).toFixed(0)} cycles a second`);
    assert.equal(after.descriptors, before.descriptors);
    assert.equal(after.threads, before.threads);
    assert.ok(after.residentMiB < before.residentMiB * 1.1, 'memory has grown');
    assert.ok(after.residentMiB < 80, 'more than 80 MiB of memory');
    assert.deepEqual(await loopsLeft(bed.images), []);
    const records = readdirSync(bed.runDirectory).filter((name) => name.startsWith('vbd-'));
    assert.deepEqual(records, []);
    // Two watches are the daemon's and one is blkback's. Other watches come and go with each vbd.
    await within(
      5000,
      () => `3 watches in xenstored, not ${watchesOf(bed)}`,
      async (signal) => {
        while (watchesOf(bed) !== 3) await pause(50, signal);
      },
    );
  });
});

/**
 * Returns the state after the last sockets are closed, and after the threads that waited for
 * another blocking call have ended.
 */
async function restingState(pid: number): Promise<ProcessState> {
  await pause(3000);
  return processState(pid);
}

async function inLanes(
  count: number,
  body: (index: number, lane: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lanes = Array.from({ length: LANES }, async (_, lane) => {
    while (next < count) await body(next++, lane);
  });
  await Promise.all(lanes);
}

/** Attaches and detaches a disk as libxl does, with both scripts. */
async function cycle(
  bed: Bed,
  store: Xenstore,
  scripts: { readonly add: Stopwatch; readonly remove: Stopwatch },
  frontend: number,
  params: string,
): Promise<void> {
  const vbd = await createVbd(store, { frontend, devid: 51712, params });
  await waitInitWait(store, vbd);
  assert.equal((await scripts.add.run(vbd.backendPath)).status, 0);
  assert.equal((await store.read(`${vbd.backendPath}/hotplug-status`)).toString(), 'connected');
  await closeVbd(store, vbd);
  await waitState(store, vbd, '6');
  assert.equal((await scripts.remove.run(vbd.backendPath)).status, 0);
  await deleteVbd(store, vbd);
  assert.ok(bed.blkback.pid > 0);
}

/**
 * Returns the number of watches that xenstored holds: watches that were set, minus those that were
 * removed.
 */
function watchesOf(bed: Bed): number {
  // The trace is long, so grep counts. grep exits with status 1 if it counts none.
  const count = (pattern: string): number =>
    Number(
      spawnSync('grep', ['-c', pattern, bed.xenstored.tracePath], { encoding: 'utf8' }).stdout,
    );
  return count('^IN .* WATCH (') - count('^IN .* UNWATCH (');
}

function describeState({ residentMiB, descriptors, threads }: ProcessState): string {
  return `${residentMiB.toFixed(1)} MiB, ${descriptors} descriptors, ${threads} threads`;
}
