import { pause } from './retry.js';

const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 100;

/**
 * Asks again and again until there is an answer, for things that the kernel sends no event for. The
 * pause grows from 2 to 100 ms. Rejects with the signal's reason when it is aborted.
 */
export async function poll<T>(signal: AbortSignal, ask: () => Promise<T | undefined>): Promise<T> {
  for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(ms * 1.5, LONGEST_PAUSE_MS)) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    await pause(ms, signal);
  }
}
