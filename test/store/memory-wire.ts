import { constants } from 'node:os';
import type { Wire, WireListener, WireRequest, WireStep } from '../../src/xenstore/wire.js';
import type { MemoryXenstored } from './memory.js';
import { MemoryTransaction } from './memory-transaction.js';
import {
  type Change,
  getNode,
  makeNode,
  type Records,
  Refusal,
  removeNode,
  setPermissions,
  writeNode,
} from './memory-tree.js';
import { absolute, type MemoryWatch, reportedPath } from './memory-watches.js';

/** One connection to the store in memory. Answers come in a later turn of the event loop, as from xenstored. */
export class MemoryWire implements Wire {
  readonly #server: MemoryXenstored;
  readonly #queue: WireRequest[] = [];
  readonly #watches: MemoryWatch[] = [];
  readonly #transactions = new Map<number, MemoryTransaction>();
  #listener: WireListener | undefined;
  #lastTransaction = 0;
  #scheduled = false;
  #gone = false;

  constructor(server: MemoryXenstored) {
    this.#server = server;
    server.add(this);
  }

  get watchCount(): number {
    return this.#watches.length;
  }

  attach(listener: WireListener): void {
    this.#listener = listener;
  }

  submit(request: WireRequest): void {
    this.#queue.push(request);
    this.wake();
  }

  cancel(id: number): boolean {
    const index = this.#queue.findIndex((request) => request.id === id);
    if (index >= 0) this.#queue.splice(index, 1);
    return index >= 0;
  }

  async close(): Promise<void> {
    this.#disconnect();
  }

  lose(): void {
    this.#disconnect();
    setImmediate(() => this.#listener?.lost());
  }

  announce(changes: readonly Change[]): void {
    for (const watch of this.#watches) {
      for (const change of changes) this.#send(watch, reportedPath(watch, change));
    }
  }

  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (!this.#gone && !this.#server.paused) {
        const request = this.#queue.shift();
        if (!request) return;
        this.#answer(request);
      }
    });
  }

  #disconnect(): void {
    this.#gone = true;
    this.#queue.length = 0;
    this.#watches.length = 0;
    this.#transactions.clear();
    this.#server.remove(this);
  }

  #answer(request: WireRequest): void {
    let errno = 0;
    let value: unknown;
    try {
      value = this.#carryOut(request);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      errno = error.errno;
    }
    this.#listener?.reply(request.id, errno, value);
  }

  #carryOut(request: WireRequest): unknown {
    const { op, tx, path, argument } = request;
    const records = this.#records(tx);
    const node = absolute(path);
    switch (op) {
      case 'open':
        return undefined;
      case 'read':
        return Buffer.from(getNode(records, node).value);
      case 'readMany':
        return argument.map((each) => {
          const found = records.get(absolute(each));
          return found ? Buffer.from(found.value) : constants.errno.ENOENT;
        });
      case 'directory':
        return [...getNode(records, node).children];
      case 'getPermissions':
        return getNode(records, node).permissions;
      case 'write':
        return this.#changed(tx, writeNode(records, node, argument));
      case 'mkdir':
        return this.#changed(tx, makeNode(records, node));
      case 'remove':
        return this.#changed(tx, removeNode(records, node));
      case 'setPermissions':
        return this.#changed(tx, setPermissions(records, node, argument));
      case 'watch':
        return this.#watch({ path, token: argument });
      case 'unwatch':
        return this.#unwatch(argument);
      case 'start':
        return this.#start();
      case 'end':
        return this.#end(tx, argument);
      case 'transact':
        return this.#transact(argument);
    }
  }

  #records(tx: number): Records {
    if (tx === 0) return this.#server.nodes;
    const transaction = this.#transactions.get(tx);
    if (!transaction) throw new Refusal('ENOENT');
    return transaction;
  }

  #changed(tx: number, changes: readonly Change[]): void {
    const transaction = this.#transactions.get(tx);
    if (transaction) transaction.changes.push(...changes);
    else this.#server.announce(changes);
  }

  #watch(watch: MemoryWatch): void {
    this.#watches.push(watch);
    this.#send(watch, watch.path);
  }

  #unwatch(token: string): void {
    const index = this.#watches.findIndex((watch) => watch.token === token);
    if (index < 0) throw new Refusal('ENOENT');
    this.#watches.splice(index, 1);
  }

  #start(): number {
    this.#lastTransaction++;
    this.#transactions.set(this.#lastTransaction, new MemoryTransaction(this.#server.nodes));
    return this.#lastTransaction;
  }

  #end(tx: number, abort: boolean): void {
    const transaction = this.#transactions.get(tx);
    this.#transactions.delete(tx);
    if (!transaction) throw new Refusal('ENOENT');
    if (abort) return;
    transaction.commit();
    this.#server.announce(transaction.changes);
  }

  #transact(steps: readonly WireStep[]): [failed: number, found: Buffer | undefined] {
    const transaction = new MemoryTransaction(this.#server.nodes);
    for (const [index, step] of steps.entries()) {
      const path = absolute(step.path);
      const found = transaction.get(path)?.value;
      if (!holds(step, found)) return [index, found];
      transaction.changes.push(...take(transaction, step, path));
    }
    transaction.commit();
    this.#server.announce(transaction.changes);
    return [-1, undefined];
  }

  #send(watch: MemoryWatch, path: string | undefined): void {
    if (path === undefined) return;
    setImmediate(() => {
      if (!this.#gone) this.#listener?.event(path, watch.token);
    });
  }
}

function holds(step: WireStep, found: Buffer | undefined): boolean {
  if (step.op === 'exists') return found !== undefined;
  if (step.op !== 'expect') return true;
  return found === undefined || step.value === undefined
    ? found === step.value
    : found.equals(step.value);
}

/** Makes the change of a step that makes one. */
function take(records: Records, step: WireStep, path: string): Change[] {
  if (step.op === 'write') return writeNode(records, path, step.value ?? Buffer.alloc(0));
  if (step.op !== 'remove' || !records.get(path)) return [];
  return removeNode(records, path);
}
