import type { VbdPath } from '../vbd/vbd-path.js';
import type { VbdEvent } from './vbd-event.js';

/** An attach that this daemon has made. */
export interface AttachTime {
  readonly time: Date;
  /** Tells the attached device from others that the vbd may have got since. */
  readonly diskseq: bigint;
}

/**
 * Remembers when this daemon has attached which vbd. A vbd that was published before, by the
 * one-shot program or by an earlier daemon, is not remembered.
 */
export class AttachTimes {
  /** Vbds whose device was published by a job that is under way. */
  readonly #published = new Set<string>();
  readonly #attached = new Map<string, AttachTime>();

  /** Takes an event of a job into account. */
  note({ time, vbd: { backend }, action, step, diskseq }: VbdEvent): void {
    if (action === 'remove') {
      this.#attached.delete(backend);
    } else if (step === 'published') {
      this.#published.add(backend);
    } else if (step === 'attached' || step === 'failed') {
      const isOwn = this.#published.delete(backend);
      if (isOwn && step === 'attached' && diskseq !== undefined) {
        this.#attached.set(backend, { time, diskseq });
      }
    }
  }

  /** Returns the attach of a vbd; `undefined` if this daemon has not attached it. */
  find({ backend }: VbdPath): AttachTime | undefined {
    return this.#attached.get(backend);
  }
}
