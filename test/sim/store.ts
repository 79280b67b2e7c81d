import { type Change, ROOT, removeNode, type TreeNode, writeNode } from '../store/memory-tree.js';
import type { SimulatedProcess } from './process.js';
import type { Quotas } from './quotas.js';
import type { Scheduler } from './scheduler.js';
import { StoreConnection } from './store-connection.js';

const HOME = '/local/domain/0/';

/** A simulated xenstored: its nodes, its connections, and watchers in the kernel and toolstacks. */
export class SimulatedStore {
  readonly nodes = new Map<string, TreeNode>([['/', ROOT]]);
  readonly scheduler: Scheduler;
  readonly connections = new Set<StoreConnection>();
  /** The percentage of answers that come late. */
  late = 0;
  /** The quotas of this domain; `undefined` where it has none, as domain 0. */
  quotas: Quotas | undefined;
  /** Whether toolstacks make frontends, too. Only gc looks at them. */
  hasFrontends = false;
  readonly #watchers: ((path: string) => void)[] = [];

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  /** Returns the addon's class of channels for a process. */
  channelOf(process: SimulatedProcess): unknown {
    const store = this;
    // Not a class of its own for each process: each would be one more that nothing is optimized for.
    return function Channel(memory: Buffer, onRead: (count: number) => void): StoreConnection {
      return new StoreConnection(store, process, memory, onRead);
    };
  }

  /** Adds a watcher, which is called at once for each change. The path is relative to domain 0. */
  onChange(watcher: (path: string) => void): void {
    this.#watchers.push(watcher);
  }

  announce(changes: readonly Change[]): void {
    for (const connection of this.connections) connection.announce(changes);
    for (const { path } of changes) {
      if (!path.startsWith(HOME)) continue;
      for (const watcher of this.#watchers) watcher(path.slice(HOME.length));
    }
  }

  read(path: string): string | undefined {
    return this.nodes.get(HOME + path)?.value.toString('latin1');
  }

  /**
   * Writes nodes for others than the program, all at once. `undefined` removes a node. A path that
   * does not begin with a slash is relative to domain 0.
   */
  write(who: string, values: Readonly<Record<string, string | undefined>>): void {
    for (const [path, value] of Object.entries(values)) {
      this.scheduler.tell(who, () =>
        value === undefined ? `removes ${path}` : `writes ${path} = ${value}`,
      );
    }
    const changes = Object.entries(values).flatMap(([name, value]) => {
      const path = name.startsWith('/') ? name : HOME + name;
      if (value !== undefined) return writeNode(this.nodes, path, Buffer.from(value));
      return this.nodes.has(path) ? removeNode(this.nodes, path) : [];
    });
    this.announce(changes);
  }

  /** Restarts xenstored, which keeps its nodes but loses connections, watches and transactions. */
  restart(): void {
    this.scheduler.tell('xenstored', () => 'is restarted');
    for (const connection of [...this.connections]) connection.lose();
  }
}
