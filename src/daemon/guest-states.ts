import type { VbdPath } from '../vbd/vbd-path.js';
import { describeXenbusState, XenbusState } from '../vbd/xenbus-state.js';
import type { FeedEvent } from './vbd-event.js';

/**
 * The last known xenbus state of each vbd. It reports what guests do on their own between an attach
 * and a detach: connect, reboot, let go.
 */
export class GuestStates {
  readonly #listener: (event: FeedEvent) => void;
  readonly #last = new Map<string, string>();

  constructor(listener: (event: FeedEvent) => void) {
    this.#listener = listener;
  }

  /**
   * Reports the state to the listener if it differs from the last known one. The state in which
   * blkback waits for the guest is reported only of a guest that has left it before.
   */
  note(vbd: VbdPath, state: string | undefined): void {
    const last = this.#last.get(vbd.backend);
    if (state === undefined || state === last) return;
    if (last === undefined && state === XenbusState.InitWait) return;
    this.#last.set(vbd.backend, state);
    const detail = describeXenbusState(state);
    this.#listener({ time: new Date(), vbd, action: 'guest', step: 'state', detail, state });
  }

  /** Forgets a vbd that is gone, or that was made anew under the same backend path. */
  forget({ backend }: VbdPath): void {
    this.#last.delete(backend);
  }
}
