import assert from 'node:assert/strict';
import { startBed } from '../../bed/bed.js';
import { attachLoop, loopsLeft, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { MARKER, Stage } from './stage.js';

const ROUNDS = 25;

describe('two adds of one vbd at the same time', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(`both succeed with a file, of one loop device, ${ROUNDS} times (${guise} blkback)`, () =>
      race(guise, async (stage) => stage.image()));

    it(`both succeed with a file whose loop device stays, and leave it to remove (${guise} blkback)`, () =>
      race(guise, async (stage) => `path=${stage.image()},autoclear=no`));

    it(`both succeed with a block device, ${ROUNDS} times (${guise} blkback)`, async () => {
      await race(guise, async (stage) => {
        // Elsewhere, so that it is not taken for one of ours.
        const image = makeImage(stage.bed.directory, { marker: MARKER });
        const loop = await attachLoop(image);
        stage.own(loop);
        return loop.path;
      });
    });
  }
});

async function race(guise: 'stock' | 'diskseq', makeParams: (stage: Contest) => Promise<string>) {
  await using bed = await startBed({ guise, delayMs: 5, randomDelay: true });
  await using store = await openStore(bed);
  await using other = await openStore(bed);
  await using stage = new Contest(bed, store);
  const params = await makeParams(stage);
  for (let round = 0; round < ROUNDS; round++) {
    const vbd = await stage.vbd(params);
    const results = await Promise.all([stage.attach(vbd), stage.attachThrough(other, vbd)]);
    const [first, second] = results.map(({ publication }) => publication);
    assert.deepEqual(first, second);
    assert.equal(stage.events(vbd, 'opened').length, 1);
    assert.deepEqual(await stage.nodes(vbd, 'physical-device', 'hotplug-status', 'hotplug-error'), [
      first?.['physical-device'],
      'connected',
      undefined,
    ]);
    await stage.delete(vbd);
    await stage.detach(vbd);
    assert.deepEqual(await loopsLeft(bed.images), []);
  }
}

/** A stage that lets go of what a test brought along. */
class Contest extends Stage implements AsyncDisposable {
  readonly #owned: AsyncDisposable[] = [];

  own(resource: AsyncDisposable): void {
    this.#owned.push(resource);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#owned) await resource[Symbol.asyncDispose]();
  }
}
