import assert from 'node:assert/strict';
import { HotplugError } from '../../../src/hotplug/hotplug-error.js';
import { pause } from '../../../src/util/retry.js';
import { failure, only } from '../../bed/assertions.js';
import { startBed } from '../../bed/bed.js';
import { attachLoop, loopsLeft, makeImage, sysfsAttribute } from '../../bed/images.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { withTransactions } from '../../store/with-transactions.js';
import { HotplugFixture, MARKER, on } from './fixture.js';

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

  for (const kind of ['file', 'disk'] as const) {
    it(
      `the one that has published a ${kind} succeeds if the other one is interrupted`,
      on({}, async (fixture) => {
        await using disk = await attachLoop(fixture.image());
        const vbd = await fixture.vbd(kind === 'file' ? fixture.image() : disk.path);
        await fixture.blkback.hold('open', vbd.key);
        const first = fixture.attach(vbd);
        first.catch(() => undefined);
        await fixture.published(vbd);
        const interrupted = new AbortController();
        let found: (() => void) | undefined;
        const adopted = new Promise<void>((resolve) => {
          found = resolve;
        });
        const onStep = (step: string): void => {
          if (step === 'opened') found?.();
        };
        const second = fixture.attach(vbd, { signal: interrupted.signal, onStep });
        second.catch(() => undefined);
        await adopted;
        await pause(50);
        interrupted.abort(new HotplugError('interrupted by SIGINT', { code: 'ECANCELED' }));
        await failure('ECANCELED', second);
        await fixture.blkback.release('open', vbd.key);
        await first;
        assert.deepEqual(await fixture.nodes(vbd, 'state', 'online', 'hotplug-status'), [
          '2',
          '1',
          'connected',
        ]);
        await fixture.delete(vbd);
      }),
    );
  }
});

describe('an add that is interrupted after another one has attached the vbd', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'leaves the loop device bound that is to stay bound',
    on({}, async (fixture) => {
      const vbd = await fixture.vbd(`path=${fixture.image()},autoclear=no`);
      await fixture.blkback.hold('open', vbd.key);
      const first = fixture.attach(vbd);
      first.catch(() => undefined);
      await fixture.published(vbd);
      const interrupted = new AbortController();
      const store = withTransactions(fixture.store, async (transact, steps) => {
        if (!steps.some(({ path }) => path.endsWith('/hotplug-status'))) return await transact();
        // The first add reports that the guest has its disk, and this one is interrupted.
        await first;
        const error = new HotplugError('interrupted by SIGINT', { code: 'ECANCELED' });
        interrupted.abort(error);
        throw error;
      });
      const { signal } = interrupted;
      const onStep = async (step: string): Promise<void> => {
        if (step === 'opened') await fixture.blkback.release('open', vbd.key);
      };
      await failure('ECANCELED', fixture.attachThrough(store, vbd, { signal, onStep }));
      const loop = only(fixture.loops());
      assert.equal(sysfsAttribute(loop, 'loop/autoclear'), '0');
      assert.equal(fixture.records().length, 1);
      await fixture.close(vbd);
      await fixture.detach(vbd);
      fixture.assertNothingLeft();
    }),
  );
});

describe('an add of a vbd whose mode has changed since a device was published', function () {
  this.timeout(30_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored');
  });

  it(
    'looks again who else uses the disk: an add that was killed has only looked for writers',
    on({}, async (fixture) => {
      await using disk = await attachLoop(fixture.image());
      const reader = await fixture.vbd(disk.path, { frontend: 9, mode: 'r' });
      await fixture.attach(reader);
      const vbd = await fixture.vbd(disk.path, { mode: 'r' });
      await fixture.blkback.hold('open', vbd.key);
      const killed = fixture.startScript(vbd, 'add');
      await fixture.logged(vbd, 'physical-device');
      killed.process.kill('SIGKILL');
      await killed.ended;
      await fixture.store.write(`${vbd.backendPath}/mode`, 'w');
      await failure('EBUSY', fixture.attach(vbd));
      // blkback may open the disk all the same, so it stays named, and the end of the vbd is asked for.
      assert.deepEqual(
        await fixture.nodes(vbd, 'physical-device', 'hotplug-status', 'online', 'state'),
        [disk.devnum, 'busy', '0', '5'],
      );
      await fixture.blkback.release('open', vbd.key);
      await fixture.delete(vbd);
      await fixture.delete(reader);
    }),
  );

  it(
    'fails if blkback has read a mode that came with the publication',
    on({}, async (fixture) => {
      await using disk = await attachLoop(fixture.image());
      const vbd = await fixture.vbd(disk.path, { mode: 'r' });
      const path = `${vbd.backendPath}/mode`;
      const store = withTransactions(fixture.store, async (transact, steps) => {
        const publishes = steps.some((one) => one.op === 'write' && one.path.endsWith('/diskseq'));
        if (!publishes) return await transact();
        return await fixture.store.transact([...steps, { op: 'write', path, value: 'w' }]);
      });
      const error = await failure('EMODE', fixture.attachThrough(store, vbd));
      await fixture.assertKept(vbd, error, disk.path);
      await fixture.delete(vbd);
    }),
  );

  for (const kind of ['file', 'disk'] as const) {
    for (const [before, after] of [
      ['r', 'w'],
      ['w', 'r'],
    ] as const) {
      it(
        `does not call a ${kind} attached that blkback has open with the other mode (${before}, then ${after})`,
        on({}, async (fixture) => {
          await using disk = await attachLoop(fixture.image());
          const vbd = await fixture.vbd(kind === 'file' ? fixture.image() : disk.path, {
            mode: before,
          });
          await fixture.attach(vbd);
          await fixture.store.write(`${vbd.backendPath}/mode`, after);
          const { message } = await failure('EPUBLISHED', fixture.attach(vbd));
          assert.match(message, after === 'w' ? /read-only/ : /read-write/);
          assert.equal(await fixture.node(vbd, 'hotplug-status'), 'connected');
          await fixture.delete(vbd);
        }),
      );
    }
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
