import { setMaxListeners } from 'node:events';

const allowed = new WeakSet<AbortSignal>();

/**
 * Lets any number of listeners wait for a signal: one may stand for hundreds of requests and calls, each
 * of which takes its listener off again, and Node would take them for a leak.
 */
export function allowListeners(signal: AbortSignal): void {
  if (allowed.has(signal)) return;
  allowed.add(signal);
  setMaxListeners(0, signal);
}
