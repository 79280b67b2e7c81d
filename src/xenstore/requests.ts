import { allowListeners } from '../util/listeners.js';
import type { Channel } from './channel.js';
import { Deadlines } from './deadlines.js';
import type { Exchange, ExchangeOptions } from './exchange.js';
import { type CloseReason, closeFailure, timeoutFailure } from './failure.js';
import type { Tail } from './packet.js';
import { Pipeline, type PipelineListener } from './pipeline.js';
import { Request, type RequestName, type Results } from './request.js';

/** The exchanges of one client, each with its promise, its deadline and its signal. */
export class Requests {
  readonly #pipeline: Pipeline;
  readonly #deadlines: Deadlines;
  readonly #timeoutMs: number;
  #closeReason: CloseReason | undefined;

  constructor(channel: Channel, timeoutMs: number, listener: PipelineListener) {
    this.#timeoutMs = timeoutMs;
    this.#deadlines = new Deadlines(timeoutMs, (exchange) => this.#expire(exchange));
    this.#pipeline = new Pipeline(channel, listener);
  }

  /** Why no request can be made any more; `undefined` while the client is open. */
  get closeReason(): CloseReason | undefined {
    return this.#closeReason;
  }

  /** Carries an exchange out. Rejects as the interface promises (xenstore.ts). */
  run<T>(exchange: Exchange<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const { signal } = exchange;
      signal?.throwIfAborted();
      if (this.#closeReason) throw closeFailure(exchange.op, exchange.path, this.#closeReason);
      const abort = () => this.#abandon(exchange, signal?.reason);
      if (signal) {
        allowListeners(signal);
        signal.addEventListener('abort', abort, { once: true });
      }
      const release = () => {
        this.#deadlines.delete(exchange);
        signal?.removeEventListener('abort', abort);
      };
      exchange.begin({ resolve, reject, release });
      this.#deadlines.add(exchange);
      this.#pipeline.submit(exchange);
    });
  }

  /** Sends one packet, and waits for its reply. */
  send<N extends RequestName>(
    name: N,
    path: string,
    head: string,
    tail: Tail,
    options: ExchangeOptions<Results[N]> = {},
  ): Promise<Results[N]> {
    return this.run(new Request(name, path, head, tail, options));
  }

  /** Sends a packet whose outcome no caller needs. */
  sendAndForget(name: RequestName, path: string, head: string, tail: Tail, tx = 0): void {
    this.send(name, path, head, tail, { tx }).catch(() => {});
  }

  /** Rejects every exchange under way and every later request, and closes the channel. */
  end(reason: CloseReason): void {
    this.#closeReason = reason;
    this.#pipeline.close();
    for (const exchange of this.#deadlines.end()) {
      exchange.end(closeFailure(exchange.op, exchange.path, reason));
    }
  }

  #expire(exchange: Exchange): void {
    if (this.#pipeline.isWithinMessage) {
      this.#pipeline.lose(
        `xenstored sent half a message, and did not end it within ${this.#timeoutMs} ms`,
      );
    }
    this.#abandon(exchange, timeoutFailure(exchange.op, exchange.path, this.#timeoutMs));
  }

  #abandon(exchange: Exchange, reason: unknown): void {
    if (!exchange.isAwaited) return;
    exchange.abandon(reason);
    this.#pipeline.forget(exchange);
  }
}
