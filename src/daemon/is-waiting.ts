import type { VbdBackend } from '../vbd/vbd-backend.js';
import { XenbusState } from '../vbd/xenbus-state.js';

/** Returns whether every node that an attach needs exists, and no device is published yet. Pure. */
export function isWaiting(backend: VbdBackend): boolean {
  if (!isUnserved(backend)) return false;
  return (['params', 'mode', 'dev'] as const).every((node) => backend.bytes(node) !== undefined);
}

/**
 * Returns whether no device is published, and blkback waits for one or is not ready for one yet. Pure.
 */
export function isUnserved(backend: VbdBackend): boolean {
  const state = backend.text('state');
  const isEarly = state === XenbusState.Initialising || state === XenbusState.InitWait;
  return isEarly && backend.text('physical-device') === undefined;
}
