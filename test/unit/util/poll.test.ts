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

  it('asks until there is an answer, less and less often', async () => {
    const times: number[] = [];
    const answer = await poll(never, async () => {
      times.push(performance.now());
      return times.length < 8 ? undefined : times.length;
    });
    assert.equal(answer, 8);
    const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    // 2, 3, 4.5, 6.75, 10.1, 15.2, 22.8 ms, and timers only ever come late.
    assert.ok((pauses[0] ?? 0) >= 1 && (pauses.at(-1) ?? 0) >= 20, pauses.join(', '));
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
