import { type ClientOptions, XenstoreClient } from '../../src/xenstore/client.js';
import type { Xenstore } from '../../src/xenstore/xenstore.js';
import { type Change, ROOT, type TreeNode } from './memory-tree.js';
import { MemoryWire } from './memory-wire.js';

/** A client of a store in memory, its own one unless another is given. For tests. */
export class MemoryXenstore extends XenstoreClient {
  constructor(server = new MemoryXenstored(), options: ClientOptions = {}) {
    super(new MemoryWire(server), options);
  }
}

/** A store in memory that behaves like xenstored towards any number of clients, all of domain 0. */
export class MemoryXenstored {
  readonly nodes: Map<string, TreeNode> = new Map([['/', ROOT]]);
  readonly #wires = new Set<MemoryWire>();
  #paused = false;

  /** A new client. */
  connect(options?: ClientOptions): Xenstore {
    return new MemoryXenstore(this, options);
  }

  /** How many watches its clients hold. */
  get watchCount(): number {
    return [...this.#wires].reduce((sum, wire) => sum + wire.watchCount, 0);
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
    for (const wire of this.#wires) wire.wake();
  }

  /** Ends every connection, as a killed xenstored does. New clients find the nodes as they were. */
  kill(): void {
    for (const wire of this.#wires) wire.lose();
  }

  /** For the wires: comes and goes with the connection. */
  add(wire: MemoryWire): void {
    this.#wires.add(wire);
  }

  remove(wire: MemoryWire): void {
    this.#wires.delete(wire);
  }

  /** For the wires: tells every watch of every client. */
  announce(changes: readonly Change[]): void {
    for (const wire of this.#wires) wire.announce(changes);
  }
}
