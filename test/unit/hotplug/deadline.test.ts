import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Deadline } from '../../../src/hotplug/deadline.js';

/** Returns the milliseconds until a signal is aborted. Fails if they are more than `limit`. */
async function timeToAbort(signal: AbortSignal, limit: number): Promise<number> {
  const start = performance.now();
  while (!signal.aborted) {
    if (performance.now() - start > limit) assert.fail(`not aborted within ${limit} ms`);
    await sleep(1);
  }
  return performance.now() - start;
}

describe('Deadline', () => {
  it('aborts the work with ETIMEDOUT and keeps a quarter for the roll-back', async () => {
    const start = performance.now();
    using deadline = new Deadline(400);
    const rollback = deadline.rollback();
    await timeToAbort(deadline.signal, 2000);
    const work = performance.now() - start;
    assert.ok(work >= 295 && work < 395, `work ended after ${work} ms`);
    assert.equal(deadline.signal.reason.name, 'HotplugError');
    assert.equal(deadline.signal.reason.code, 'ETIMEDOUT');
    assert.equal(rollback.aborted, false);
    await timeToAbort(rollback, 2000);
    assert.ok(performance.now() - start >= 395);
  });

  it('passes on that the caller gives up, with the caller’s reason', () => {
    const caller = new AbortController();
    using deadline = new Deadline(60_000, caller.signal);
    assert.equal(deadline.signal.aborted, false);
    const reason = new Error('interrupted');
    caller.abort(reason);
    assert.equal(deadline.signal.reason, reason);
    assert.equal(deadline.rollback().aborted, false);
  });

  it('is over at once for a caller who gave up before', () => {
    using deadline = new Deadline(60_000, AbortSignal.abort(new Error('before')));
    assert.equal(deadline.signal.reason.message, 'before');
  });

  it('still gives a signal for the roll-back when the time is up', async () => {
    using deadline = new Deadline(1);
    await sleep(20);
    assert.ok((await timeToAbort(deadline.rollback(), 1000)) < 500);
  });

  it('aborts nothing once it is disposed of', async () => {
    const deadline = new Deadline(20);
    deadline[Symbol.dispose]();
    await sleep(60);
    assert.equal(deadline.signal.aborted, false);
  });
});
