import { setMaxListeners } from 'node:events';
import { type Ending, endingFailure, requestFailure, timeoutFailure } from './failure.js';
import type { Arguments, Operation, Values, Wire, WireRequest } from './wire.js';

/** What a request may carry beside what is sent. */
export interface SendOptions<O extends Operation> {
  readonly tx?: number;
  readonly signal?: AbortSignal | undefined;
  /**
   * The request succeeded after its caller had stopped waiting: the place to give back what it
   * made.
   */
  readonly late?: (value: Values[O]) => void;
  /** Which part of a larger request failed; there is no value where none of it was begun. */
  readonly blame?: (value: Values[O] | undefined) => readonly [op: Operation, path: string];
}

interface Pending {
  readonly op: Operation;
  readonly path: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  readonly release: () => void;
  readonly options: SendOptions<never>;
}

/** Requests that give something back: they are carried out even if nobody waits for them. */
const ALWAYS_SENT: readonly Operation[] = ['end', 'unwatch'];

/** The requests of one client that are under way, each with its deadline and its signal. */
export class Requests {
  readonly #wire: Wire;
  readonly #timeoutMs: number;
  readonly #pending = new Map<number, Pending>();
  /** Requests that nobody waits for any more, and what to do should they have succeeded. */
  readonly #late = new Map<number, (value: never) => void>();
  #lastId = 0;
  #ending: Ending | undefined;

  constructor(wire: Wire, timeoutMs: number) {
    this.#wire = wire;
    this.#timeoutMs = timeoutMs;
  }

  get ending(): Ending | undefined {
    return this.#ending;
  }

  /** Sends a request; rejects as the interface promises (xenstore.ts). */
  send<O extends Operation>(
    op: O,
    path: string,
    argument: Arguments[O],
    options: SendOptions<O> = {},
  ): Promise<Values[O]> {
    const { tx = 0, signal } = options;
    return new Promise<Values[O]>((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#ending) throw endingFailure(op, path, this.#ending);
      const id = this.#nextId();
      const abort = () => this.#abandon(id, signal?.reason);
      const timer = setTimeout(
        () => this.#abandon(id, timeoutFailure(op, path, this.#timeoutMs)),
        this.#timeoutMs,
      );
      if (signal) {
        // Any number of requests may be made under one signal, and Node would take them for a leak.
        setMaxListeners(0, signal);
        signal.addEventListener('abort', abort, { once: true });
      }
      const release = () => signal?.removeEventListener('abort', abort);
      this.#pending.set(id, { op, path, timer, resolve, reject, release, options });
      // The compiler does not see that the generic parts belong together.
      this.#wire.submit({ id, op, tx, path, argument } as WireRequest);
    });
  }

  /** Sends a request whose outcome is nobody's business any more. */
  sendAndForget<O extends Operation>(op: O, path: string, argument: Arguments[O], tx = 0): void {
    this.send(op, path, argument, { tx }).catch(() => {});
  }

  /** Settles the request that the wire answered. */
  reply(id: number, errno: number, value: unknown): void {
    const late = this.#late.get(id);
    this.#late.delete(id);
    if (errno === 0) late?.(value as never);
    const pending = this.#take(id);
    if (!pending) return;
    if (errno === 0) {
      pending.resolve(value as never);
      return;
    }
    const { blame } = pending.options;
    const [op, path] = blame?.(value as never) ?? [pending.op, pending.path];
    pending.reject(requestFailure(op, path, errno));
  }

  /** Rejects everything under way and every later request. */
  end(ending: Ending): void {
    this.#ending = ending;
    this.#late.clear();
    for (const id of [...this.#pending.keys()]) {
      const pending = this.#take(id);
      pending?.reject(endingFailure(pending.op, pending.path, ending));
    }
  }

  #abandon(id: number, reason: unknown): void {
    const pending = this.#take(id);
    if (!pending) return;
    const unsent = !ALWAYS_SENT.includes(pending.op) && this.#wire.cancel(id);
    if (!unsent && pending.options.late) this.#late.set(id, pending.options.late);
    pending.reject(reason);
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (!pending) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    pending.release();
    return pending;
  }

  #nextId(): number {
    // The addon counts in 32 bits.
    this.#lastId = (this.#lastId % 0xffff_ffff) + 1;
    return this.#lastId;
  }
}
