import assert from 'node:assert/strict';
import { once } from 'node:events';
import { limitTime } from '../../../src/util/time-limit.js';

describe('A wait with a time limit', () => {
  for (const [what, outer] of [
    ['', undefined],
    [', which comes before the signal', new AbortController().signal],
  ] as const) {
    it(`ends with the reason of its limit${what}`, async () => {
      const { signal, late } = limitTime(5, outer);
      assert.equal(signal.aborted, false);
      await once(signal, 'abort');
      assert.equal(signal.reason.name, 'TimeoutError');
      assert.equal(signal.reason, late.reason);
    });
  }

  it('ends with the reason of the signal, which comes before the limit', () => {
    const outer = new AbortController();
    const { signal, late } = limitTime(60_000, outer.signal);
    const reason = new Error('enough');
    outer.abort(reason);
    assert.equal(signal.reason, reason);
    assert.equal(late.aborted, false);
  });

  it('has ended with a signal that was aborted before', () => {
    const reason = new Error('enough');
    assert.equal(limitTime(60_000, AbortSignal.abort(reason)).signal.reason, reason);
  });
});
