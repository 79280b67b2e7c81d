import assert from 'node:assert/strict';
import { CoalescedRuns } from '../../../src/util/coalesced-runs.js';

describe('CoalescedRuns', () => {
  const started: (() => void)[] = [];
  const work = (): Promise<void> => new Promise((resolve) => started.push(resolve));
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  beforeEach(() => void started.splice(0));

  it('runs once for all who ask before it begins', async () => {
    const runs = new CoalescedRuns(work);
    const all = Promise.all([runs.next(), runs.next(), runs.next()]);
    await settle();
    assert.equal(started.length, 1);
    started[0]?.();
    await all;
  });

  it('runs again, and not at the same time, for who asks after it has begun', async () => {
    const runs = new CoalescedRuns(work);
    const first = runs.next();
    await settle();
    const second = runs.next();
    await settle();
    assert.equal(started.length, 1);
    started[0]?.();
    await first;
    await settle();
    assert.equal(started.length, 2);
    started[1]?.();
    await second;
  });

  it('runs again after a run that has failed', async () => {
    let runs = 0;
    const failing = new CoalescedRuns(async () => {
      if (runs++ === 0) throw new Error('the first fails');
    });
    await assert.rejects(failing.next(), /the first fails/);
    await failing.next();
    assert.equal(runs, 2);
  });
});
