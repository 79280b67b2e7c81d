import { monotonicMs } from '../util/clock.js';
import { HotplugError } from './hotplug-error.js';

/**
 * The time that an operation has. `signal` is aborted when the time for the work is up, or when the
 * caller gives up. A quarter of the time, but at most 2000 ms, is kept back for the roll-back:
 * `rollback()` returns the signal for it.
 */
export class Deadline implements Disposable {
  readonly #work = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #endsAt: number;
  readonly signal: AbortSignal;

  /** @param timeoutMs the time for everything, in milliseconds. */
  constructor(timeoutMs: number, signal?: AbortSignal) {
    const reserve = Math.min(timeoutMs / 4, 2000);
    this.#endsAt = monotonicMs() + timeoutMs;
    // The error is made only when it is needed, because it costs more than all the rest.
    const expire = (): void =>
      this.#work.abort(new HotplugError('the deadline passed', { code: 'ETIMEDOUT' }));
    this.#timer = setTimeout(expire, timeoutMs - reserve);
    this.signal = signal ? AbortSignal.any([signal, this.#work.signal]) : this.#work.signal;
  }

  /** Returns a signal for the roll-back, which is aborted at the very end of the time. */
  rollback(): AbortSignal {
    return AbortSignal.timeout(this.leftMs);
  }

  /** The time that is left until the very end; milliseconds, at least 1. */
  get leftMs(): number {
    return Math.max(1, Math.floor(this.#endsAt - monotonicMs()));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
