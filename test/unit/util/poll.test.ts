import assert from 'node:assert/strict';
import { poll, pollEagerly, pollPatiently } from '../../../src/util/poll.js';

const never = new AbortController().signal;

/**
 * Polls until an answer comes after `forMs`. Returns the time of each attempt; milliseconds from
 * the start.
 */
async function timesAsked(forMs: number): Promise<number[]> {
  const start = performance.now();
  const times: number[] = [];
  await poll(never, async () => {
    const now = performance.now() - start;
    times.push(now);
    return now < forMs ? undefined : 'late';
  });
  return times;
}

function pausesBetween(times: readonly number[]): number[] {
  return times.slice(1).map((time, index) => time - (times[index] ?? 0));
}

describe('poll', () => {
  it('asks at once and returns the first answer', async () => {
    let asked = 0;
    const answer = poll(never, async () => {
      asked++;
      return 'now';
    });
    assert.equal(asked, 1);
    assert.equal(await answer, 'now');
    assert.equal(asked, 1);
  });

  it('takes every answer but undefined, falsy ones too', async () => {
    for (const answer of [0, '', false, null]) {
      assert.equal(await poll(never, async () => answer), answer);
    }
  });

  it('asks without a pause at first', async () => {
    // A busy machine may lose the first milliseconds, but not in each attempt.
    for (let attempt = 0; attempt < 100; attempt++) {
      const times = await timesAsked(5);
      if (pausesBetween(times).some((ms) => ms < 0.5)) return;
    }
    assert.fail('there was always a pause');
  });

  it('asks until there is an answer, less and less often', async () => {
    // The pauses are 1, 1.2, 1.44 … 15.4 ms, and a timer only ever comes late.
    const pauses = pausesBetween(await timesAsked(90));
    assert.ok(
      pauses.some((ms) => ms >= 10),
      pauses.join(', '),
    );
    // A busy machine may also interrupt the attempts that have no pause.
    assert.ok(pauses.filter((ms) => ms >= 1).length <= 22, pauses.join(', '));
  });

  it('does not ask once the signal is aborted', async () => {
    const reason = new Error('stop');
    const ask = async () => assert.fail('was asked');
    await assert.rejects(poll(AbortSignal.abort(reason), ask), (error) => error === reason);
  });

  it('ends a pause when the signal is aborted, with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('stop');
    let asked = 0;
    const ended = poll(controller.signal, async () => {
      asked += 1;
      return undefined;
    });
    setTimeout(() => controller.abort(reason), 40);
    await assert.rejects(ended, (error) => error === reason);
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 120));
    assert.ok(before >= 2);
    assert.equal(asked, before);
  });

  it('passes an error of the question on', async () => {
    const error = new Error('no answer');
    const ask = async (): Promise<undefined> => {
      throw error;
    };
    await assert.rejects(poll(never, ask), (found) => found === error);
  });
});

describe('pollPatiently', () => {
  it('has a pause before each question, the first too', async () => {
    const start = performance.now();
    let asked = 0;
    const found = await pollPatiently(never, async () => (++asked === 14 ? 'late' : undefined));
    assert.equal(found, 'late');
    // The pauses are 1, 1.2, 1.44 … 10.7 ms, 59 ms in all. A timer may come within the millisecond
    // before its time.
    const passed = performance.now() - start;
    assert.ok(passed >= 59 - 14, `${passed} ms`);
  });

  it('ends its pause when the signal is aborted, with its reason', async () => {
    const reason = new Error('stop');
    const ask = async () => assert.fail('was asked');
    await assert.rejects(
      pollPatiently(AbortSignal.abort(reason), ask),
      (error) => error === reason,
    );
  });
});

describe('pollEagerly', () => {
  it('gives the answer that there is, and is at an end soon where there is none', async () => {
    let asked = 0;
    assert.equal(
      await pollEagerly(never, async () => (++asked === 3 ? 'third' : undefined)),
      'third',
    );
    assert.equal(asked, 3);
    assert.equal(await pollEagerly(never, async () => undefined), undefined);
  });

  it('does not ask once the signal is aborted', async () => {
    const reason = new Error('stop');
    const ask = async () => assert.fail('was asked');
    await assert.rejects(pollEagerly(AbortSignal.abort(reason), ask), (error) => error === reason);
  });
});
