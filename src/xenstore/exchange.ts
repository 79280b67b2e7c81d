import { type Operation, requestFailure } from './failure.js';
import type { Tail } from './packet.js';

/** What an exchange may carry beside what is sent. */
export interface ExchangeOptions<T> {
  /** The transaction's number; 0 outside transactions. */
  readonly tx?: number;
  readonly signal?: AbortSignal | undefined;
  /**
   * The exchange succeeded after its caller had stopped waiting: the place to give back what it made.
   */
  readonly late?: (value: T) => void;
  /** The caller has stopped waiting for what was sent: the place to undo it, whatever the reply. */
  readonly undo?: () => void;
}

/** Whoever waits for an exchange. */
export interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
  /** The exchange has been settled, in whatever way. */
  release(): void;
}

/**
 * One operation of a client: one or more packets, the replies to them, and one result. The fields
 * `type` to `index` are the next packet, once `advance` has returned true; they are written anew for
 * each packet, so that sending many makes no objects.
 */
export abstract class Exchange<T = never> {
  readonly op: Operation;
  readonly path: string;
  readonly signal: AbortSignal | undefined;
  /** When its caller stops waiting, on the clock of `monotonicMs`. */
  deadline = 0;

  type = 0;
  tx: number;
  /** The first string of the payload, without its terminator. */
  head = '';
  tail: Tail = undefined;
  /** Given back to `reply`: which of the exchange's packets it was. */
  index = 0;

  readonly #late: ((value: T) => void) | undefined;
  readonly #undo: (() => void) | undefined;
  #waiter: Waiter<T> | undefined;

  constructor(op: Operation, path: string, options: ExchangeOptions<T>) {
    this.op = op;
    this.path = path;
    this.tx = options.tx ?? 0;
    this.signal = options.signal;
    this.#late = options.late;
    this.#undo = options.undo;
  }

  /** Whether all of its packets are sent. Until then no later exchange sends any. */
  abstract get isSent(): boolean;

  /** Makes the next packet ready; false while there is none, before more replies have come. */
  abstract advance(): boolean;

  /**
   * Takes the reply to a packet: its errno (0 is success) and its body. Returns a fault, as
   * `TakePacket` does, where the body makes no sense.
   */
  abstract reply(index: number, errno: number, body: Buffer): string | undefined;

  begin(waiter: Waiter<T>): void {
    this.#waiter = waiter;
  }

  /** Whether somebody waits for it. */
  get isAwaited(): boolean {
    return this.#waiter !== undefined;
  }

  /** Rejects it with an error that has nothing to do with a reply: its caller stops waiting. */
  abandon(error: unknown): void {
    const isSent = this.isSent;
    const waiter = this.#take();
    waiter?.reject(error);
    if (waiter && isSent) this.#undo?.();
  }

  /** Rejects it because nothing can be sent any more. */
  end(error: unknown): void {
    const waiter = this.#take();
    waiter?.reject(error);
  }

  protected succeed(value: T): void {
    const waiter = this.#take();
    if (waiter) waiter.resolve(value);
    else this.#late?.(value);
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
