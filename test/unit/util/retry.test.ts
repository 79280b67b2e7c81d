import assert from 'node:assert/strict';
import { pause, type RetryOptions, retry } from '../../../src/util/retry.js';

const OPTIONS: RetryOptions = {
  attempts: 5,
  firstDelayMs: 1,
  maxDelayMs: 2,
  retryOn: (error) => error instanceof RangeError,
};

describe('retry', () => {
  it('returns the first success and tells each attempt its number', async () => {
    const attempts: number[] = [];
    const result = await retry(OPTIONS, async (attempt) => {
      attempts.push(attempt);
      if (attempt < 3) throw new RangeError();
      return 'done';
    });
    assert.equal(result, 'done');
    assert.deepEqual(attempts, [1, 2, 3]);
  });

  it('gives up after the last attempt, with its error as it is', async () => {
    const errors: Error[] = [];
    const fail = async (): Promise<never> => {
      const error = new RangeError(`attempt ${errors.length + 1}`);
      errors.push(error);
      throw error;
    };
    await assert.rejects(retry(OPTIONS, fail), (error) => error === errors.at(-1));
    assert.equal(errors.length, 5);
  });

  it('does not retry on an error that retryOn does not name', async () => {
    let calls = 0;
    const fail = async (): Promise<never> => {
      calls += 1;
      throw new TypeError('another');
    };
    await assert.rejects(retry(OPTIONS, fail), TypeError);
    assert.equal(calls, 1);
  });

  it('does not start when the signal is aborted already', async () => {
    const reason = new Error('stop');
    const body = async () => assert.fail('was called');
    const signal = AbortSignal.abort(reason);
    await assert.rejects(retry({ ...OPTIONS, signal }, body), (error) => error === reason);
  });

  it('ends in the middle of a pause when the signal is aborted, with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('stop');
    let calls = 0;
    const body = async (): Promise<never> => {
      calls += 1;
      setTimeout(() => controller.abort(reason), 5);
      throw new RangeError();
    };
    const options = { ...OPTIONS, firstDelayMs: 1e9, maxDelayMs: 1e9, signal: controller.signal };
    const start = performance.now();
    await assert.rejects(retry(options, body), (error) => error === reason);
    assert.equal(calls, 1);
    assert.ok(performance.now() - start < 1000);
  });

  it('pauses no longer than the bound, which doubles up to the greatest', async () => {
    const random = Math.random;
    const starts: number[] = [];
    Math.random = () => 1;
    try {
      await assert.rejects(
        retry({ ...OPTIONS, firstDelayMs: 20, maxDelayMs: 50 }, async () => {
          starts.push(performance.now());
          throw new RangeError();
        }),
      );
    } finally {
      Math.random = random;
    }
    const pauses = starts.slice(1).map((time, index) => time - (starts[index] ?? 0));
    for (const [index, least] of [20, 40, 50, 50].entries()) {
      const found = pauses[index] ?? 0;
      assert.ok(found >= least - 2 && found < least + 200, `pause ${index}: ${found} ms`);
    }
  });
});

describe('pause', () => {
  it('lasts as long as it is told', async () => {
    const start = performance.now();
    await pause(30);
    assert.ok(performance.now() - start >= 28);
  });

  it('rejects with the reason of a signal that is aborted before or during it', async () => {
    const reason = new Error('stop');
    await assert.rejects(pause(1e6, AbortSignal.abort(reason)), (error) => error === reason);
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 5);
    await assert.rejects(pause(1e6, controller.signal), (error) => error === reason);
  });

  it('leaves no listener behind on the signal', async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener, removeEventListener } = signal;
    signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
      listeners += 1;
      addEventListener.apply(signal, args);
    };
    signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
      listeners -= 1;
      removeEventListener.apply(signal, args);
    };
    await pause(1, signal);
    assert.equal(listeners, 0);
  });
});
