import assert from 'node:assert/strict';
import { poll } from '../../../src/util/poll.js';

const never = new AbortController().signal;

describe('poll', () => {
  it('asks at once and returns the first answer', async () => {
    const start = performance.now();
    assert.equal(await poll(never, async () => 'now'), 'now');
    assert.ok(performance.now() - start < 50);
  });

  it('takes every answer but undefined, falsy ones too', async () => {
    for (const answer of [0, '', false, null]) {
      assert.equal(await poll(never, async () => answer), answer);
    }
  });

  it('asks until there is an answer, without a pause at first, then less and less often', async () => {
    const start = performance.now();
    const times: number[] = [];
    const answer = await poll(never, async () => {
      times.push(performance.now() - start);
      return performance.now() - start < 60 ? undefined : 'late';
    });
    assert.equal(answer, 'late');
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    // Then 1, 1.5, 2.25 … 17.1 ms, and timers only ever come late.
    assert.ok(pauses.some((ms) => ms < 0.5) && pauses.some((ms) => ms >= 10), pauses.join(', '));
    assert.ok(pauses.filter((ms) => ms >= 1).length <= 10, pauses.join(', '));
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
