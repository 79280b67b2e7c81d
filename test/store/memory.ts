import { type ClientOptions, XenstoreClient } from '../../src/xenstore/client.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { MemoryConnection } from './memory-connection.js';
import { type Change, ROOT, type TreeNode } from './memory-tree.js';

/** A client of a store in memory, for tests. Makes a store of its own unless one is given. */
export class MemoryXenstore extends XenstoreClient {
  constructor(server = new MemoryXenstored(), options: ClientOptions = {}) {
    super(new MemoryConnection(server), options);
  }
}

/** A store in memory that behaves like xenstored for any number of clients, all of domain 0. */
export class MemoryXenstored {
  readonly nodes: Map<string, TreeNode> = new Map([['/', ROOT]]);
  /** The largest number of bytes that a client gets at a time. */
  readonly chunkSize: number;
  readonly #connections = new Set<MemoryConnection>();
  #paused = false;

  constructor(chunkSize = Number.MAX_SAFE_INTEGER) {
    this.chunkSize = chunkSize;
  }

  /** Connects a new client. */
  connect(options?: ClientOptions): Xenstore {
    return new MemoryXenstore(this, options);
  }

  /** The number of watches of all clients. */
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

  /** Answers the requests that have piled up, and all further requests. */
  resume(): void {
    this.#paused = false;
    for (const connection of this.#connections) connection.wake();
  }

  /** Ends every connection, as a killed xenstored does. New clients find the nodes as they were. */
  kill(): void {
    for (const connection of this.#connections) connection.lose();
  }

  /** Adds a connection. Only a connection calls this, and `remove` when it is closed. */
  add(connection: MemoryConnection): void {
    this.#connections.add(connection);
  }

  remove(connection: MemoryConnection): void {
    this.#connections.delete(connection);
  }

  /** Tells every watch of every client about changes. Only a connection calls this. */
  announce(changes: readonly Change[]): void {
    for (const connection of this.#connections) connection.announce(changes);
  }
}
