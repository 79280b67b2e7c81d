import { monotonicMs } from '../util/clock.js';
import { HotplugError } from './hotplug-error.js';

/**
 * The time that an operation has. `signal` is aborted when the time for its work is up, or when the
 * caller gives up; `rollback()` gives a signal for the clean-up, from the part that was kept back.
 */
export class Deadline implements Disposable {
  readonly #work = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #endsAt: number;
  readonly signal: AbortSignal;

  /** @param timeoutMs everything included, in milliseconds. */
  constructor(timeoutMs: number, signal?: AbortSignal) {
    const reserve = Math.min(timeoutMs / 4, 2000);
    this.#endsAt = monotonicMs() + timeoutMs;
    // An error is made when it is needed: it costs more than all the rest.
    const expire = (): void =>
      this.#work.abort(new HotplugError('the deadline passed', { code: 'ETIMEDOUT' }));
    this.#timer = setTimeout(expire, timeoutMs - reserve);
    this.signal = signal ? AbortSignal.any([signal, this.#work.signal]) : this.#work.signal;
  }

  /** A signal that is aborted at the very end of the time, for undoing things. */
  rollback(): AbortSignal {
    return AbortSignal.timeout(this.leftMs);
  }

  /** What is left until the very end; milliseconds, 1 at least. */
  get leftMs(): number {
    return Math.max(1, Math.floor(this.#endsAt - monotonicMs()));
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
