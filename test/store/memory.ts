import { type ClientOptions, XenstoreClient } from '../../src/xenstore/client.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { MemoryConnection } from './memory-connection.js';
import { type Change, ROOT, type TreeNode } from './memory-tree.js';

/** A client of a store in memory, its own one unless another is given. For tests. */
export class MemoryXenstore extends XenstoreClient {
  constructor(server = new MemoryXenstored(), options: ClientOptions = {}) {
    super(new MemoryConnection(server), options);
  }
}

/** A store in memory that behaves like xenstored towards any number of clients, all of domain 0. */
export class MemoryXenstored {
  readonly nodes: Map<string, TreeNode> = new Map([['/', ROOT]]);
  /** At most so many bytes come to a client at a time. */
  readonly chunkSize: number;
  readonly #connections = new Set<MemoryConnection>();
  #paused = false;

  constructor(chunkSize = Number.MAX_SAFE_INTEGER) {
    this.chunkSize = chunkSize;
  }

  /** A new client. */
  connect(options?: ClientOptions): Xenstore {
    return new MemoryXenstore(this, options);
  }

  /** How many watches its clients hold. */
  get watchCount(): number {
    return [...this.#connections].reduce((sum, connection) => sum + connection.watchCount, 0);
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Stops answering, as a stopped xenstored does. */
  pause(): void {
    this.#paused = true;
  }

  /** Answers what has piled up, and answers again. */
  resume(): void {
    this.#paused = false;
    for (const connection of this.#connections) connection.wake();
  }

  /** Ends every connection, as a killed xenstored does. New clients find the nodes as they were. */
  kill(): void {
    for (const connection of this.#connections) connection.lose();
  }

  /** For the connections: comes and goes with the connection. */
  add(connection: MemoryConnection): void {
    this.#connections.add(connection);
  }

  remove(connection: MemoryConnection): void {
    this.#connections.delete(connection);
  }

  /** For the connections: tells every watch of every client. */
  announce(changes: readonly Change[]): void {
    for (const connection of this.#connections) connection.announce(changes);
  }
}
