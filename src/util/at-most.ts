import { pause } from './retry.js';

/** Waits until `work` settles, but for `ms` milliseconds at most. Ignores an error of `work`. */
export async function atMost(ms: number, work: Promise<void>): Promise<void> {
  const patience = new AbortController();
  const late = pause(ms, patience.signal).catch(() => undefined);
  await Promise.race([work.catch(() => undefined), late]);
  patience.abort();
}
