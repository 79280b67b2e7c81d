import { XS } from '../../src/xenstore/packet.js';
import { MemoryTransaction } from '../store/memory-transaction.js';
import { type Change, type Records, Refusal } from '../store/memory-tree.js';
import { absolute, type MemoryWatch, reportedPath } from '../store/memory-watches.js';
import { answerNode } from '../store/node-requests.js';
import {
  cutRequests,
  makeAnswer,
  makeMessage,
  OK,
  type RequestMessage,
  strings,
} from '../store/server-messages.js';
import type { SimulatedProcess } from './process.js';
import type { SimulatedStore } from './store.js';

/** The percentage of commits that conflict with an unrelated client. */
const CONFLICTS = 3;

/** The percentage of requests after which the next one is answered at once, too. */
const MORE = 75;

const NOTHING = Buffer.alloc(0);

/**
 * A connection like that of native/channel.h, and xenstored's end. Answers come after any delay.
 */
export class StoreConnection {
  readonly #store: SimulatedStore;
  readonly #process: SimulatedProcess;
  readonly #memory: Buffer;
  readonly #onRead: (count: number) => void;
  readonly #requests: RequestMessage[] = [];
  readonly #watches: MemoryWatch[] = [];
  readonly #transactions = new Map<number, MemoryTransaction>();
  #answers: Buffer = NOTHING;
  #lastTransaction = 0;
  #isOpen = false;
  #isBusy = false;
  #isDelivering = false;

  constructor(
    store: SimulatedStore,
    process: SimulatedProcess,
    memory: Buffer,
    onRead: (count: number) => void,
  ) {
    this.#store = store;
    this.#process = process;
    this.#memory = memory;
    this.#onRead = onRead;
    process.onEnd(() => this.close());
  }

  open(): number {
    this.#process.step();
    this.#isOpen = true;
    this.#store.connections.add(this);
    return 0;
  }

  start(): number {
    return 0;
  }

  awaitWritable(): void {}

  write(bytes: Buffer): number {
    this.#process.step();
    if (!this.#isOpen) return -32;
    this.#requests.push(...cutRequests(bytes));
    this.#serve();
    return bytes.length;
  }

  close(): void {
    this.#isOpen = false;
    this.#requests.length = 0;
    this.#watches.length = 0;
    this.#transactions.clear();
    this.#store.connections.delete(this);
  }

  /** Loses the connection, because xenstored ends. */
  lose(): void {
    if (!this.#isOpen) return;
    this.close();
    this.#process.after(0, () => this.#onRead(0));
  }

  announce(changes: readonly Change[]): void {
    for (const watch of this.#watches) {
      for (const change of changes) this.#event(watch, reportedPath(watch, change));
    }
  }

  /** Answers one request after another. Others come in between after some of them. */
  #serve(): void {
    if (this.#isBusy || this.#requests.length === 0) return;
    this.#isBusy = true;
    const { random } = this.#store.scheduler;
    const ms = random.fraction() * (random.percent(this.#store.late) ? 50 : 0.1);
    this.#store.scheduler.after(ms, () => {
      this.#isBusy = false;
      do {
        const request = this.#requests.shift();
        if (!this.#isOpen || request === undefined) return;
        this.#answer(request);
      } while (random.percent(MORE));
      this.#serve();
    });
  }

  #send(message: Buffer): void {
    this.#answers = this.#answers.length === 0 ? message : Buffer.concat([this.#answers, message]);
    this.#deliver();
  }

  /** Delivers answers in pieces of random size, regardless of the boundaries of messages. */
  #deliver(): void {
    if (this.#isDelivering || this.#answers.length === 0) return;
    this.#isDelivering = true;
    const { random } = this.#store.scheduler;
    this.#process.after(random.fraction() * 0.1, () => {
      this.#isDelivering = false;
      if (!this.#isOpen) return;
      const most = random.percent(10) ? random.between(1, 40) : this.#memory.length;
      const count = Math.min(most, this.#answers.length);
      this.#answers.copy(this.#memory, 0, 0, count);
      this.#answers = count === this.#answers.length ? NOTHING : this.#answers.subarray(count);
      this.#deliver();
      this.#onRead(count);
    });
  }

  #answer(request: RequestMessage): void {
    this.#send(makeAnswer(request, () => this.#carryOut(request)));
  }

  #carryOut(request: RequestMessage): Buffer | undefined {
    const { type, tx, texts } = request;
    const [path = '', token = ''] = texts;
    switch (type) {
      case XS.watch: {
        this.#store.quotas?.require('watches');
        const watch = { path, token };
        this.#watches.push(watch);
        this.#event(watch, path);
        return OK;
      }
      case XS.unwatch: {
        const index = this.#watches.findIndex((watch) => watch.token === token);
        if (index < 0) throw new Refusal('ENOENT');
        this.#watches.splice(index, 1);
        return OK;
      }
      case XS.transactionStart:
        this.#store.quotas?.require('transactions');
        this.#transactions.set(++this.#lastTransaction, new MemoryTransaction(this.#store.nodes));
        return strings(String(this.#lastTransaction));
      case XS.transactionEnd:
        return this.#end(tx, path === 'T');
    }
    const records = this.#records(tx);
    const isNew = type === XS.write && records.get(absolute(path)) === undefined;
    if (isNew) this.#store.quotas?.requireNode(tx);
    const { body, changes } = answerNode(records, request, absolute(path));
    const transaction = this.#transactions.get(tx);
    if (transaction) transaction.changes.push(...changes);
    else this.#commit(changes);
    return body;
  }

  #commit(changes: readonly Change[]): void {
    for (const { path } of changes) {
      this.#store.scheduler.tell(this.#process.name, () => {
        const value = this.#store.nodes.get(path)?.value.toString('latin1');
        return value === undefined ? `removes ${path}` : `writes ${path} = ${value}`;
      });
    }
    this.#store.announce(changes);
  }

  #records(tx: number): Records {
    if (tx === 0) return this.#store.nodes;
    const transaction = this.#transactions.get(tx);
    if (!transaction) throw new Refusal('ENOENT');
    return transaction;
  }

  #end(tx: number, isCommit: boolean): Buffer {
    const transaction = this.#transactions.get(tx);
    this.#transactions.delete(tx);
    if (!transaction) throw new Refusal('ENOENT');
    if (!isCommit) return OK;
    if (this.#store.scheduler.random.percent(CONFLICTS)) throw new Refusal('EAGAIN');
    // xenstored looks at the quota again when it takes over the nodes of a transaction.
    const makesNodes = transaction.changes.some(({ path }) => !this.#store.nodes.has(path));
    if (makesNodes) this.#store.quotas?.require('nodes');
    transaction.commit();
    this.#commit(transaction.changes);
    return OK;
  }

  #event(watch: MemoryWatch, path: string | undefined): void {
    if (path === undefined) return;
    this.#send(makeMessage(XS.watchEvent, 0, 0, strings(path, watch.token)));
  }
}
