import { monotonicMs } from './clock.js';
import { nextTurn } from './next-turn.js';
import { pause } from './retry.js';

/**
 * During this time there are no pauses, so that an event that is about to happen is seen at once.
 */
const EAGER_MS = 0.5;
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 100;
/**
 * The factor by which each pause grows. On average, an answer is noticed late by a tenth of the
 * wait.
 */
const GROWTH = 1.2;

/**
 * Calls `ask` until there is an answer, for events that the kernel does not announce. The first
 * calls follow each other at once, and the later ones after pauses that grow from 1 to 100 ms.
 * Rejects with the signal's reason when the signal is aborted.
 */
export async function poll<T>(signal: AbortSignal, ask: () => Promise<T | undefined>): Promise<T> {
  const early = await pollEagerly(signal, ask);
  return early === undefined ? await pollPatiently(signal, ask) : early;
}

/**
 * Calls `ask` in every turn of the event loop, for half a millisecond at most. Resolves with the
 * answer, or with `undefined` if there is none by then. Rejects with the signal's reason when the
 * signal is aborted.
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

/**
 * Calls `ask` until there is an answer, as `poll` does after its eager start: a pause comes before
 * each call.
 */
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
