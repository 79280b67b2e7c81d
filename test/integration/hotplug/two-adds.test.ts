import assert from 'node:assert/strict';
import { startBed } from '../../bed/bed.js';
import { attachLoop, loopsLeft, makeImage } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture, MARKER } from './fixture.js';

const ROUNDS = 25;

describe('two adds of one vbd at the same time', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  for (const guise of ['stock', 'diskseq'] as const) {
    it(`both succeed with a file, of one loop device, ${ROUNDS} times (${guise} blkback)`, () =>
      race(guise, async (fixture) => fixture.image()));

    it(`both succeed with a file whose loop device stays, and leave it to remove (${guise} blkback)`, () =>
      race(guise, async (fixture) => `path=${fixture.image()},autoclear=no`));

    it(`both succeed with a block device, ${ROUNDS} times (${guise} blkback)`, async () => {
      await race(guise, async (fixture) => {
        // The image lies elsewhere, so that the test does not take its loop device for one of the
        // project's.
        const image = makeImage(fixture.bed.directory, { marker: MARKER });
        const loop = await attachLoop(image);
        fixture.own(loop);
        return loop.path;
      });
    });
  }
});

async function race(guise: 'stock' | 'diskseq', makeParams: (fixture: Contest) => Promise<string>) {
  await using bed = await startBed({ guise, delayMs: 5, randomDelay: true });
  await using store = await openStore(bed);
  await using other = await openStore(bed);
  await using fixture = new Contest(bed, store);
  const params = await makeParams(fixture);
  for (let round = 0; round < ROUNDS; round++) {
    const vbd = await fixture.vbd(params);
    const results = await Promise.all([fixture.attach(vbd), fixture.attachThrough(other, vbd)]);
    const [first, second] = results.map(({ publication }) => publication);
    assert.deepEqual(first, second);
    assert.equal(fixture.events(vbd, 'opened').length, 1);
    assert.deepEqual(
      await fixture.nodes(vbd, 'physical-device', 'hotplug-status', 'hotplug-error'),
      [first?.['physical-device'], 'connected', undefined],
    );
    await fixture.delete(vbd);
    await fixture.detach(vbd);
    assert.deepEqual(await loopsLeft(bed.images), []);
  }
}

/** A fixture that disposes of the devices that a test made. */
class Contest extends HotplugFixture implements AsyncDisposable {
  readonly #owned: AsyncDisposable[] = [];

  own(resource: AsyncDisposable): void {
    this.#owned.push(resource);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#owned) await resource[Symbol.asyncDispose]();
  }
}
