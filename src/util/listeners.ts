import { setMaxListeners } from 'node:events';

const allowed = new WeakSet<AbortSignal>();

/**
 * Allows any number of listeners on a signal. One signal may serve hundreds of requests and calls,
 * each of which removes its listener again. Node would warn about a leak.
 */
export function allowListeners(signal: AbortSignal): void {
  if (allowed.has(signal)) return;
  allowed.add(signal);
  setMaxListeners(0, signal);
}
