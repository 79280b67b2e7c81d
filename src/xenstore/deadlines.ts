import { monotonicMs } from '../util/clock.js';
import { nextTurn } from '../util/next-turn.js';
import type { Exchange } from './exchange.js';

/**
 * The exchanges that a caller waits for, with one timer for the oldest of them. All exchanges have
 * the same timeout, so the oldest one is due first. The timer is set again only when it fires,
 * which costs less than one timer for each exchange. When no exchange is left, the timer fires one
 * last time.
 */
export class Deadlines {
  readonly #timeoutMs: number;
  readonly #onDue: (exchange: Exchange) => void;
  /** In the order in which the exchanges are due. */
  readonly #awaited = new Set<Exchange>();
  #timer: NodeJS.Timeout | undefined;
  #hasEnded = false;

  constructor(timeoutMs: number, onDue: (exchange: Exchange) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onDue = onDue;
  }

  add(exchange: Exchange): void {
    exchange.deadline = monotonicMs() + this.#timeoutMs;
    this.#awaited.add(exchange);
    this.#timer ??= setTimeout(() => void this.#expire(), this.#timeoutMs);
  }

  delete(exchange: Exchange): void {
    this.#awaited.delete(exchange);
  }

  /** Stops the timer, and returns the exchanges that were awaited. */
  end(): Exchange[] {
    clearTimeout(this.#timer);
    this.#hasEnded = true;
    const awaited = [...this.#awaited];
    this.#awaited.clear();
    return awaited;
  }

  /**
   * Waits for the next turn of the event loop before it looks at deadlines. libuv runs timers
   * before it reads from descriptors (uv_run). After a time in which this process did not run,
   * because it was suspended or had no processor, the replies may have arrived. They have to be
   * read first.
   */
  async #expire(): Promise<void> {
    await nextTurn();
    this.#timer = undefined;
    if (this.#hasEnded) return;
    const now = monotonicMs();
    for (const exchange of this.#awaited) {
      if (exchange.deadline > now) {
        this.#timer = setTimeout(() => void this.#expire(), exchange.deadline - now);
        return;
      }
      this.#onDue(exchange);
    }
  }
}
