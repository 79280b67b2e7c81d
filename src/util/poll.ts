import { setImmediate } from 'node:timers/promises';
import { pause } from './retry.js';

/** What is about to happen is not slept through: for so long the pauses are turns of the event loop. */
const EAGER_MS = 1;
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 100;

/**
 * Asks again and again until there is an answer, for things that the kernel sends no event for: in
 * every turn of the event loop during the first millisecond, then with a pause that grows from 1 to
 * 100 ms. Rejects with the signal's reason when it is aborted.
 */
export async function poll<T>(signal: AbortSignal, ask: () => Promise<T | undefined>): Promise<T> {
  const eagerUntil = performance.now() + EAGER_MS;
  let ms = FIRST_PAUSE_MS;
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() < eagerUntil) {
      await setImmediate();
    } else {
      await pause(ms, signal);
      ms = Math.min(ms * 1.5, LONGEST_PAUSE_MS);
    }
  }
}
