import type { VbdPath } from '../vbd/vbd-path.js';
import { describeXenbusState } from '../vbd/xenbus-state.js';
import type { FeedEvent } from './vbd-event.js';

/** What guests do by themselves between an attach and a detach: connect, reboot, let go. */
export class GuestStates {
  readonly #listener: (event: FeedEvent) => void;
  readonly #last = new Map<string, string>();

  constructor(listener: (event: FeedEvent) => void) {
    this.#listener = listener;
  }

  note(vbd: VbdPath, state: string | undefined): void {
    if (state === undefined || this.#last.get(vbd.backend) === state) return;
    this.#last.set(vbd.backend, state);
    const detail = describeXenbusState(state);
    this.#listener({ time: new Date(), vbd, action: 'guest', step: 'state', detail, state });
  }

  /** The vbd is gone, or another one by now. */
  forget({ backend }: VbdPath): void {
    this.#last.delete(backend);
  }
}
