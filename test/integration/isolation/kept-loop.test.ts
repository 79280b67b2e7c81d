import assert from 'node:assert/strict';
import { startBed } from '../../bed/bed.js';
import { FuseFiles } from '../../bed/fuse-files.js';
import { needs } from '../../bed/needs.js';
import { openStore } from '../../bed/store.js';
import { HotplugFixture } from '../hotplug/fixture.js';

const TIMEOUT_MS = 3000;
/** The delay that a busy machine may cause. */
const GRACE_MS = 2000;

describe('An add of a loop device that is to stay bound', function () {
  this.timeout(60_000);
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'fuse');
  });

  it('ends by its deadline if the file server stops answering after the open of blkback', async () => {
    await using bed = await startBed({});
    await using store = await openStore(bed);
    const fixture = new HotplugFixture(bed, store);
    await using files = await FuseFiles.mount({ disk: 1024 * 1024 });
    const vbd = await fixture.vbd(`path=${files.path('disk')},autoclear=no`);
    const started = performance.now();
    let stopped: Promise<void> | undefined;
    const onStep = (step: string): void => {
      if (step === 'connected') stopped = files.stop();
    };
    const attached = fixture.attach(vbd, { timeoutMs: TIMEOUT_MS, onStep }).then(
      () => 'attached',
      (error: { code?: string }) => error.code,
    );
    const late = new Promise<string>((resolve) => {
      setTimeout(() => resolve('late'), TIMEOUT_MS + GRACE_MS).unref();
    });
    let ended: string | undefined;
    try {
      ended = await Promise.race([attached, late]);
      await stopped;
    } finally {
      files.resume();
      await attached;
    }
    assert.equal(ended, 'ETIMEDOUT');
    assert.ok(performance.now() - started < TIMEOUT_MS + GRACE_MS);
    await fixture.delete(vbd);
    await fixture.detach(vbd);
    fixture.assertNothingLeft();
  });
});
