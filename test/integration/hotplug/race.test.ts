import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type AttachOptions, attach } from '../../../src/hotplug/attach.js';
import { pause } from '../../../src/util/retry.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';
import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../../bed/bed.js';
import type { BlkbackEvent } from '../../bed/blkback.js';
import { Churn } from '../../bed/churn.js';
import { effort } from '../../bed/effort.js';
import { attachLoop, loopsLeft, loopsOf, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { createVbd, deleteVbd, type Vbd, waitInitWait } from '../../bed/toolstack.js';
import { runXenBlock } from '../../bed/xen-block.js';

const TRIES = effort(500, 10);
const LANES = 2;
/** The number of tries after which Xen's script has certainly gone wrong. */
const MOST_XEN_BLOCK_TRIES = 300;
const DELAY = { delayMs: 50, randomDelay: true };

interface Count {
  attached: number;
  refused: number;
  /** The number of exchanges that the bystander made, before or after blkback had the device. */
  taken: number;
}

interface Fixture {
  readonly bed: Bed;
  readonly store: Xenstore;
  /** The directory of the two files. The loop devices over files in it belong to this lane. */
  readonly directory: string;
  readonly right: string;
  readonly wrong: string;
}

describe('a bystander exchanges the device between add and open', function () {
  this.timeout(180_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(`${TRIES} tries, ${guise} blkback: it never opens another content, nor nothing`, async () => {
      await using bed = await startBed({ guise, ...DELAY });
      await using store = await openStore(bed);
      const count = { attached: 0, refused: 0, taken: 0 };
      await Promise.all(
        Array.from({ length: LANES }, (_, lane) =>
          raceLane(makeFixture(bed, store, lane), lane, count),
        ),
      );
      assert.equal(count.attached + count.refused, TRIES);
      // It was a race only if each side has won often.
      assert.ok(count.attached > TRIES / 10, `only ${count.attached} were attached`);
      assert.ok(count.taken > TRIES / 10, `the bystander got through only ${count.taken} times`);
      assert.deepEqual(await loopsLeft(bed.images), []);
      console.log(`      ${JSON.stringify(count)}`);
    });
  }

  it("Xen's block script in our place lets blkback open the wrong content, or nothing", async () => {
    await using bed = await startBed({ guise: 'stock', ...DELAY });
    await using store = await openStore(bed);
    const fixture = makeFixture(bed, store, 0);
    await using churn = new Churn(fixture.wrong, fixture.right);
    const seen = { wrong: 0, empty: 0, right: 0, tries: 0 };
    // Which way it goes wrong first depends on the machine: beside other work, only one may be seen.
    while (seen.wrong + seen.empty === 0 && seen.tries++ < MOST_XEN_BLOCK_TRIES) {
      const loop = await attachLoop(fixture.right);
      const vbd = await makeVbd(store, seen.tries, loop.path);
      churn.start(loop.path);
      const { status } = await runXenBlock(bed, vbd, 'add');
      if (status === 0) {
        const event = await bed.blkback.waitFor(isOutcome(vbd));
        if (event.event === 'opened') seen[contentOf(event)]++;
      }
      await churn.stop();
      await cleanUp(fixture, vbd);
    }
    console.log(`      ${JSON.stringify(seen)}`);
    assert.ok(seen.wrong + seen.empty > 0, 'it always opened the right content: no race was run');
    assert.deepEqual(await loopsLeft(bed.images), []);
  });
});

function makeFixture(bed: Bed, store: Xenstore, lane: number): Fixture {
  const directory = join(bed.images, `lane-${lane}`);
  mkdirSync(directory);
  const right = makeImage(directory, { marker: 'RIGHT' });
  const wrong = makeImage(directory, { marker: 'WRONG' });
  return { bed, store, directory, right, wrong };
}

async function raceLane(fixture: Fixture, lane: number, count: Count): Promise<void> {
  await using churn = new Churn(fixture.wrong, fixture.right);
  for (let i = lane; i < TRIES; i += LANES) {
    // In every other try the target is a file, and the bystander attacks the loop device that is
    // made for it.
    const attempt = i % 4 < LANES ? attachDevice : attachFile;
    const { vbd, attached } = await attempt(fixture, i, churn);
    count[attached ? 'attached' : 'refused']++;
    if (attached) await fixture.bed.blkback.waitFor(isOutcome(vbd));
    count.taken += (await churn.stop()).taken;
    const opened = fixture.bed.blkback.log().filter((event) => isOpened(event, vbd));
    for (const event of opened) assert.equal(contentOf(event), 'right', JSON.stringify(event));
    if (attached) assert.equal(opened.length, 1);
    await cleanUp(fixture, vbd);
  }
}

/**
 * Attaches a loop device that the test made. The bystander exchanges it at any moment of the
 * attach.
 */
async function attachDevice(fixture: Fixture, index: number, churn: Churn) {
  const loop = await attachLoop(fixture.right);
  const vbd = await makeVbd(fixture.store, index, `path=${loop.path},diskseq=${loop.diskseq}`);
  const strike = pause(Math.random() * 12).then(() => churn.start(loop.path));
  const attached = await tryAttach(fixture, vbd);
  await strike;
  return { vbd, attached };
}

/** Attaches a file. The bystander exchanges the new loop device as soon as it exists. */
async function attachFile(fixture: Fixture, index: number, churn: Churn) {
  const vbd = await makeVbd(fixture.store, index, fixture.right);
  const attached = await tryAttach(fixture, vbd, (step, detail) => {
    if (step === 'opened') churn.start(detail.split(',')[0] ?? '');
  });
  return { vbd, attached };
}

async function tryAttach(
  { bed, store }: Fixture,
  vbd: Vbd,
  onStep?: AttachOptions['onStep'],
): Promise<boolean> {
  const options = {
    timeoutMs: 10_000,
    uapi: 'key' as const,
    sysfs: bed.blkback.sysfs,
    runDirectory: bed.runDirectory,
    onStep,
  };
  try {
    await attach(store, parse(vbd), options);
    return true;
  } catch (error) {
    // The refusal must be a clean one: the device is another, was taken away, or is just being
    // exchanged.
    const code = error instanceof Error && 'code' in error ? error.code : error;
    assert.ok(['EIDENTITY', 'ENXIO', 'EBUSY', 'ENOMEDIUM'].includes(String(code)), String(error));
    return false;
  }
}

function parse(vbd: Vbd): VbdPath {
  const path = parseVbdPath(vbd.backendPath);
  assert.ok(path);
  return path;
}

async function makeVbd(store: Xenstore, index: number, params: string): Promise<Vbd> {
  const vbd = await createVbd(store, { frontend: 1000 + index, devid: 51712, params });
  await waitInitWait(store, vbd);
  return vbd;
}

/** Removes the vbd, and any loop device that the exchange has left behind. */
async function cleanUp({ bed, store, directory }: Fixture, vbd: Vbd): Promise<void> {
  const opened = bed.blkback.log().some((event) => isOpened(event, vbd));
  await deleteVbd(store, vbd);
  if (opened) {
    await bed.blkback.waitFor((event) => event.event === 'closed' && event.vbd === vbd.key);
  }
  for (const path of loopsOf(directory)) {
    try {
      execFileSync('losetup', ['--detach', path], { stdio: 'ignore' });
    } catch {
      // The device went by itself meanwhile.
    }
  }
}

function isOpened(event: BlkbackEvent, vbd: Vbd): boolean {
  return event.event === 'opened' && event.vbd === vbd.key;
}

function isOutcome(vbd: Vbd): (event: BlkbackEvent) => boolean {
  return (event) => event.vbd === vbd.key && ['opened', 'failed'].includes(event.event);
}

function contentOf({ bytes, size }: BlkbackEvent): 'right' | 'wrong' | 'empty' {
  if (size === 0 || size === undefined) return 'empty';
  return bytes?.startsWith('RIGHT') ? 'right' : 'wrong';
}
