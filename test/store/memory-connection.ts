import type { Channel, ChannelListener } from '../../src/xenstore/channel.js';
import { HEADER_SIZE, PAYLOAD_MAX, XS } from '../../src/xenstore/packet.js';
import type { MemoryXenstored } from './memory.js';
import { MemoryTransaction } from './memory-transaction.js';
import { type Change, type Records, Refusal } from './memory-tree.js';
import { absolute, type MemoryWatch, reportedPath } from './memory-watches.js';
import { answerNode } from './node-requests.js';
import {
  cutRequests,
  makeAnswer,
  makeMessage,
  OK,
  type RequestMessage,
  strings,
} from './server-messages.js';

/** The number of outstanding requests of a domain after which xenstored stops reading from it. */
const OUTSTANDING_MAX = 20;

/**
 * One connection to the store in memory. It takes and returns bytes. As from xenstored, answers
 * come in a later turn of the event loop, and all of them together.
 */
export class MemoryConnection implements Channel {
  readonly maxPacketSize = HEADER_SIZE + PAYLOAD_MAX;
  readonly window = 10;
  readonly #server: MemoryXenstored;
  readonly #queue: RequestMessage[] = [];
  readonly #watches: MemoryWatch[] = [];
  readonly #transactions = new Map<number, MemoryTransaction>();
  #listener: ChannelListener | undefined;
  #answers: Buffer[] = [];
  #lastTransaction = 0;
  #scheduled = false;

  constructor(server: MemoryXenstored) {
    this.#server = server;
    server.add(this);
  }

  get watchCount(): number {
    return this.#watches.length;
  }

  start(listener: ChannelListener): void {
    this.#listener = listener;
  }

  write(bytes: Buffer): void {
    this.#queue.push(...cutRequests(bytes));
    if (this.#queue.length > OUTSTANDING_MAX) throw new Error('too many requests are outstanding');
    this.wake();
  }

  close(): void {
    this.#listener = undefined;
    this.#queue.length = 0;
    this.#watches.length = 0;
    this.#transactions.clear();
    this.#server.remove(this);
  }

  lose(): void {
    const listener = this.#listener;
    this.close();
    setImmediate(() => listener?.onLost('xenstored closed it'));
  }

  announce(changes: readonly Change[]): void {
    for (const watch of this.#watches) {
      for (const change of changes) this.#event(watch, reportedPath(watch, change));
    }
  }

  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#listener && !this.#server.paused) {
        const request = this.#queue.shift();
        if (!request) break;
        this.#answer(request);
      }
      this.#deliver();
    });
  }

  #deliver(): void {
    const bytes = Buffer.concat(this.#answers);
    this.#answers = [];
    const size = this.#server.chunkSize;
    for (let at = 0; at < bytes.length; at += size) {
      // A separate copy, which is overwritten below: the client must not use it after the call.
      const chunk = Buffer.from(bytes.subarray(at, at + size));
      this.#listener?.onData(chunk);
      chunk.fill(0xff);
    }
  }

  #answer(request: RequestMessage): void {
    this.#answers.push(makeAnswer(request, () => this.#carryOut(request)));
  }

  #carryOut(request: RequestMessage): Buffer | undefined {
    const { type, tx, texts } = request;
    const [path = '', token = ''] = texts;
    switch (type) {
      case XS.watch:
        return this.#watch({ path, token });
      case XS.unwatch:
        return this.#unwatch(token);
      case XS.transactionStart:
        return this.#start();
      case XS.transactionEnd:
        return this.#end(tx, path === 'T');
    }
    const { body, changes } = answerNode(this.#records(tx), request, absolute(path));
    const transaction = this.#transactions.get(tx);
    if (transaction) transaction.changes.push(...changes);
    else this.#server.announce(changes);
    return body;
  }

  #records(tx: number): Records {
    if (tx === 0) return this.#server.nodes;
    const transaction = this.#transactions.get(tx);
    if (!transaction) throw new Refusal('ENOENT');
    return transaction;
  }

  #watch(watch: MemoryWatch): Buffer {
    this.#watches.push(watch);
    this.#event(watch, watch.path);
    return OK;
  }

  #unwatch(token: string): Buffer {
    const index = this.#watches.findIndex((watch) => watch.token === token);
    if (index < 0) throw new Refusal('ENOENT');
    this.#watches.splice(index, 1);
    return OK;
  }

  #start(): Buffer {
    this.#lastTransaction++;
    this.#transactions.set(this.#lastTransaction, new MemoryTransaction(this.#server.nodes));
    return strings(String(this.#lastTransaction));
  }

  #end(tx: number, isCommit: boolean): Buffer {
    const transaction = this.#transactions.get(tx);
    this.#transactions.delete(tx);
    if (!transaction) throw new Refusal('ENOENT');
    if (isCommit) {
      transaction.commit();
      this.#server.announce(transaction.changes);
    }
    return OK;
  }

  #event(watch: MemoryWatch, path: string | undefined): void {
    if (path === undefined) return;
    this.#answers.push(makeMessage(XS.watchEvent, 0, 0, strings(path, watch.token)));
    this.wake();
  }
}
