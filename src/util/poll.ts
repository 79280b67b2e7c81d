import { monotonicMs } from './clock.js';
import { nextTurn } from './next-turn.js';
import { pause } from './retry.js';

/** What is about to happen is not slept through. */
const EAGER_MS = 0.5;
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 100;
/** What is asked late by a step of this size is late by a tenth of the wait, in the mean. */
const GROWTH = 1.2;

/**
 * Asks again and again until there is an answer, for things that the kernel sends no event for: first
 * eagerly, then with a pause that grows from 1 to 100 ms. Rejects with the signal's reason when it is
 * aborted.
 */
export async function poll<T>(signal: AbortSignal, ask: () => Promise<T | undefined>): Promise<T> {
  const early = await pollEagerly(signal, ask);
  return early === undefined ? await pollPatiently(signal, ask) : early;
}

/**
 * Asks in every turn of the event loop, for half a millisecond at the most. Resolves with the answer, or
 * `undefined`; rejects with the signal's reason when it is aborted.
 */
export async function pollEagerly<T>(
  signal: AbortSignal,
  ask: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const end = monotonicMs() + EAGER_MS;
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined || monotonicMs() >= end) return answer;
    await nextTurn();
  }
}

/** Asks again and again as `poll` does after its eager start: there is a pause before each question. */
export async function pollPatiently<T>(
  signal: AbortSignal,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(ms * GROWTH, LONGEST_PAUSE_MS)) {
    await pause(ms, signal);
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
}
