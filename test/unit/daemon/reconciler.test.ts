import assert from 'node:assert/strict';
import { Reconciler } from '../../../src/daemon/reconciler.js';

describe('The reconciler', () => {
  const path = 'backend/vbd/7/51712';

  it('compares once for what is scheduled together', async () => {
    let compared = 0;
    const reconciler = new Reconciler(async () => {
      compared++;
    });
    for (let times = 0; times < 3; times++) reconciler.schedule(path);
    await new Promise(setImmediate);
    assert.equal(compared, 1);
  });

  // A comparison ends some microtasks after its last read, and the next event may come in between.
  for (let ticks = 0; ticks < 12; ticks++) {
    it(`compares after each change, ${ticks} microtasks after the last look at a vbd`, async () => {
      let changes = 0;
      let seen = 0;
      const reconciler = new Reconciler(async () => {
        seen = changes;
      });
      const first = reconciler.reconcile(path);
      for (let tick = 0; tick < ticks; tick++) await undefined;
      changes++;
      await reconciler.reconcile(path);
      await first;
      assert.equal(seen, changes);
    });
  }

  it('compares after a change during a comparison that fails', async () => {
    let changes = 0;
    let seen = 0;
    const reconciler = new Reconciler(async () => {
      seen = changes;
      await new Promise(setImmediate);
      if (seen === 0) throw new Error('no answer');
    });
    const first = reconciler.reconcile(path);
    changes++;
    const second = reconciler.reconcile(path);
    await Promise.allSettled([first, second]);
    assert.equal(seen, changes);
  });
});
