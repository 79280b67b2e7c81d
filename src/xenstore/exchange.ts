import { type Operation, requestFailure } from './failure.js';
import type { Tail } from './packet.js';

/** The options of an exchange. */
export interface ExchangeOptions<T> {
  /** The number of the transaction; 0 outside transactions. */
  readonly tx?: number;
  readonly signal?: AbortSignal | undefined;
  /**
   * Called when the exchange succeeds after its caller has stopped waiting. Gives back what the
   * exchange made.
   */
  readonly onAbandonedSuccess?: (value: T) => void;
  /**
   * Called when the caller stops waiting for a request that was sent. Undoes the request, whatever
   * the reply will be.
   */
  readonly onAbandoned?: () => void;
}

/** The caller that waits for an exchange. */
export interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
  /** Called when the exchange is settled, whatever its outcome. */
  release(): void;
}

/**
 * One operation of a client: one or more packets, the replies to them, and one result. When
 * `advance` has returned true, the fields `type` to `index` hold the next packet. Each packet
 * overwrites these fields, so that sending many packets creates no objects.
 */
export abstract class Exchange<T = never> {
  readonly op: Operation;
  readonly path: string;
  readonly signal: AbortSignal | undefined;
  /** The time at which the caller stops waiting, on the clock of `monotonicMs`. */
  deadline = 0;

  type = 0;
  tx: number;
  /** The first string of the payload, without its terminator. */
  head = '';
  tail: Tail = undefined;
  /** The number of the packet within the exchange. `reply` gets it back with the reply. */
  index = 0;

  readonly #onAbandonedSuccess: ((value: T) => void) | undefined;
  readonly #onAbandoned: (() => void) | undefined;
  #waiter: Waiter<T> | undefined;

  constructor(op: Operation, path: string, options: ExchangeOptions<T>) {
    this.op = op;
    this.path = path;
    this.tx = options.tx ?? 0;
    this.signal = options.signal;
    this.#onAbandonedSuccess = options.onAbandonedSuccess;
    this.#onAbandoned = options.onAbandoned;
  }

  /** Whether no packet of this exchange is left to send. Until then no later exchange sends any. */
  abstract get isSent(): boolean;

  /** Prepares the next packet. Returns false while there is none until more replies have come. */
  abstract advance(): boolean;

  /**
   * Takes the reply to the packet with this number: its errno (0 is success) and its body. Returns
   * a fault, as `TakePacket` does, where the body makes no sense.
   */
  abstract reply(index: number, errno: number, body: Buffer): string | undefined;

  begin(waiter: Waiter<T>): void {
    this.#waiter = waiter;
  }

  /** Whether a caller waits for the exchange. */
  get isAwaited(): boolean {
    return this.#waiter !== undefined;
  }

  /**
   * Rejects the exchange with an error that does not come from a reply: its caller stops waiting.
   */
  abandon(error: unknown): void {
    const isSent = this.isSent;
    const waiter = this.#take();
    waiter?.reject(error);
    if (waiter && isSent) this.#onAbandoned?.();
  }

  /** Rejects the exchange because nothing can be sent any more. */
  end(error: unknown): void {
    const waiter = this.#take();
    waiter?.reject(error);
  }

  protected succeed(value: T): void {
    const waiter = this.#take();
    if (waiter) waiter.resolve(value);
    else this.#onAbandonedSuccess?.(value);
  }

  protected fail(op: Operation, path: string, errno: number): void {
    const waiter = this.#take();
    waiter?.reject(requestFailure(op, path, errno));
  }

  #take(): Waiter<T> | undefined {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.release();
    return waiter;
  }
}
