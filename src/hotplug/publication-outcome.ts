import { pollPatiently } from '../util/poll.js';
import { readVbdBackend } from '../vbd/vbd-backend.js';
import type { VbdInstance } from '../vbd/vbd-instance.js';
import { XenbusState } from '../vbd/xenbus-state.js';
import type { Xenstore } from '../xenstore/xenstore.js';

/**
 * What blkback has made, or may still make, of a publication:
 * - `open`: blkback has the device open;
 * - `never`: blkback has not opened the device, and never will;
 * - `pending`: blkback may open the device at any later time. It reads the number in one step and
 *   opens the device in another step, which a stalled disk can delay without limit.
 */
export type PublicationOutcome = 'open' | 'never' | 'pending';

/**
 * How long to wait for the end of an instance that is closing, or whose nodes are gone;
 * milliseconds. Such an instance usually ends within milliseconds.
 */
const ENDING_MS = 1000;

/** What is known of a publication. */
export interface PublicationFacts {
  /**
   * Whether blkback may have been about to open an earlier device when this one was published. An
   * error of the driver may be about that device then, and blkback opens this one next.
   */
  readonly followsPendingOpen: boolean;
  readonly signal: AbortSignal;
}

/**
 * Finds out what came of a publication for an instance. Never rejects: in doubt it returns
 * `pending`.
 */
export async function readPublicationOutcome(
  store: Xenstore,
  instance: VbdInstance,
  { followsPendingOpen, signal }: PublicationFacts,
): Promise<PublicationOutcome> {
  const { vbd, directory } = instance;
  const known = (): PublicationOutcome | undefined => {
    if (directory.readOpenDevice() !== undefined) return 'open';
    return directory.isCurrent() ? undefined : 'never';
  };
  try {
    const before = known();
    if (before !== undefined) return before;
    const nodes = ['frontend', 'state', 'error'] as const;
    const backend = await readVbdBackend(store, vbd, { nodes, signal });
    // The driver has tried to open the device, has failed and said so, and does not try again.
    if (backend.hasFailedToOpen && !followsPendingOpen) return known() ?? 'never';
    const state = backend.text('state');
    const ending = !backend.exists || state === XenbusState.Closing || state === XenbusState.Closed;
    if (!ending) return 'pending';
    const soon = AbortSignal.any([signal, AbortSignal.timeout(ENDING_MS)]);
    return await pollPatiently(soon, async () => known());
  } catch {
    return 'pending';
  }
}
