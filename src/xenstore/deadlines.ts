import { monotonicMs } from '../util/clock.js';
import { nextTurn } from '../util/next-turn.js';
import type { Exchange } from './exchange.js';

/**
 * The exchanges that somebody waits for, and one timer for the oldest of them: all have the same
 * time, so the oldest is due first. The timer is set anew only when it fires, which costs less than
 * one for each exchange; once nobody waits it fires one last time.
 */
export class Deadlines {
  readonly #timeoutMs: number;
  readonly #onDue: (exchange: Exchange) => void;
  /** In the order in which they are due. */
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

  /** Ends the timer, and returns those that were awaited. */
  end(): Exchange[] {
    clearTimeout(this.#timer);
    this.#hasEnded = true;
    const awaited = [...this.#awaited];
    this.#awaited.clear();
    return awaited;
  }

  /**
   * Timers come before what has arrived (libuv, uv_run): after a time in which this process did not run,
   * suspended or without a processor, the replies are there, and are to be read first.
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
