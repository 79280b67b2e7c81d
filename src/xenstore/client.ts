import { constants } from 'node:os';
import type { Ending } from './failure.js';
import { Nodes } from './nodes.js';
import { Requests } from './requests.js';
import { runSteps, runTransaction } from './transaction.js';
import { Watches } from './watches.js';
import type { Wire, WireListener } from './wire.js';
import type {
  Transaction,
  TransactionOptions,
  TransactionOutcome,
  TransactionStep,
  Watch,
  WatchListener,
  WatchOptions,
  Xenstore,
} from './xenstore.js';

export interface ClientOptions {
  /** How long a request may take, waiting for earlier ones included. Default 10 000. */
  readonly requestTimeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** Keeps the promises of `Xenstore` over any wire. */
export class XenstoreClient extends Nodes implements Xenstore {
  readonly #wire: Wire;
  readonly #requests: Requests;
  readonly #watches: Watches;
  #closing: Promise<void> | undefined;

  constructor(wire: Wire, options: ClientOptions = {}) {
    const requests = new Requests(wire, options.requestTimeoutMs ?? DEFAULT_TIMEOUT_MS);
    super(requests);
    this.#wire = wire;
    this.#requests = requests;
    this.#watches = new Watches(requests);
    wire.attach(this.#listener());
  }

  /** Waits for the connection; `address` is for the error's sentence. */
  protected async open(address: string, signal: AbortSignal | undefined): Promise<void> {
    await this.#requests.send('open', address, undefined, { signal });
  }

  async watch(path: string, listener: WatchListener, options: WatchOptions = {}): Promise<Watch> {
    return await this.#watches.register(path, listener, options);
  }

  async transaction<T>(
    body: (transaction: Transaction) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    return await runTransaction(this.#requests, body, options);
  }

  async transact(
    steps: readonly TransactionStep[],
    options: TransactionOptions = {},
  ): Promise<TransactionOutcome> {
    return await runSteps(this.#requests, steps, options);
  }

  close(): Promise<void> {
    if (!this.#closing) {
      this.#end('closed');
      this.#closing = this.#wire.close();
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #listener(): WireListener {
    const lost = () => {
      if (!this.#requests.ending) this.#end('lost');
    };
    return {
      reply: (id, errno, value) => {
        this.#requests.reply(id, errno, value);
        if (errno === constants.errno.ECONNRESET) lost();
      },
      event: (path, token) => this.#watches.event(path, token),
      lost,
    };
  }

  #end(ending: Ending): void {
    this.#requests.end(ending);
    this.#watches.end(ending);
  }
}
