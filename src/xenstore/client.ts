import type { Channel } from './channel.js';
import type { CloseReason } from './failure.js';
import { Nodes } from './nodes.js';
import { Requests } from './requests.js';
import { runSteps, runTransaction } from './transaction.js';
import { Watches } from './watches.js';
import type {
  Transaction,
  TransactionOptions,
  TransactionOutcome,
  TransactionStep,
  TransactOptions,
  Watch,
  WatchListener,
  WatchOptions,
  Xenstore,
} from './xenstore.js';

/** Options of a client. */
export interface ClientOptions {
  /**
   * The longest time that a request may take, in milliseconds, including the wait for earlier
   * requests. Default 10 000.
   */
  readonly requestTimeoutMs?: number | undefined;
}

export const DEFAULT_TIMEOUT_MS = 10_000;

/** A XenStore client over any channel. It keeps the promises of `Xenstore` (xenstore.ts). */
export class XenstoreClient extends Nodes implements Xenstore {
  readonly #requests: Requests;
  readonly #watches: Watches;

  constructor(channel: Channel, options: ClientOptions = {}) {
    const requests = new Requests(channel, options.requestTimeoutMs ?? DEFAULT_TIMEOUT_MS, {
      onEvent: (path, token) => this.#watches.event(path, token),
      onLost: (reason) => this.#end({ lost: reason }),
    });
    super(requests);
    this.#requests = requests;
    this.#watches = new Watches(requests);
  }

  watch(path: string, listener: WatchListener, options: WatchOptions = {}): Promise<Watch> {
    return this.#watches.register(path, listener, options);
  }

  transaction<T>(
    body: (transaction: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return runTransaction(this.#requests, body, options);
  }

  transact(
    steps: readonly TransactionStep[],
    options: TransactOptions = {},
  ): Promise<TransactionOutcome> {
    return runSteps(this.#requests, steps, options);
  }

  async close(): Promise<void> {
    if (this.#requests.closeReason !== 'closed') this.#end('closed');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(reason: CloseReason): void {
    this.#requests.end(reason);
    this.#watches.end(reason);
  }
}
