import { type Change, ROOT, removeNode, type TreeNode, writeNode } from '../store/memory-tree.js';
import type { SimulatedProcess } from './process.js';
import type { Scheduler } from './scheduler.js';
import { StoreConnection } from './store-connection.js';

const HOME = '/local/domain/0/';

/** xenstored: its nodes, its connections, and those in the kernel and in toolstacks that look on. */
export class SimulatedStore {
  readonly nodes = new Map<string, TreeNode>([['/', ROOT]]);
  readonly scheduler: Scheduler;
  readonly connections = new Set<StoreConnection>();
  readonly #watchers: ((path: string) => void)[] = [];

  constructor(scheduler: Scheduler) {
    this.scheduler = scheduler;
  }

  /** The addon's class of channels for a process. */
  channelOf(process: SimulatedProcess): unknown {
    const store = this;
    return class extends StoreConnection {
      constructor(memory: Buffer, onRead: (count: number) => void) {
        super(store, process, memory, onRead);
      }
    };
  }

  /** Told, at once, of each change; the path is relative to domain 0. */
  onChange(watcher: (path: string) => void): void {
    this.#watchers.push(watcher);
  }

  announce(changes: readonly Change[]): void {
    for (const connection of this.connections) connection.announce(changes);
    for (const { path } of changes) {
      for (const watcher of this.#watchers) watcher(path.slice(HOME.length));
    }
  }

  read(path: string): string | undefined {
    return this.nodes.get(HOME + path)?.value.toString('latin1');
  }

  /** What somebody else than the program writes, all at once; `undefined` removes. */
  write(who: string, values: Readonly<Record<string, string | undefined>>): void {
    for (const [path, value] of Object.entries(values)) {
      this.scheduler.tell(who, () =>
        value === undefined ? `removes ${path}` : `writes ${path} = ${value}`,
      );
    }
    const changes = Object.entries(values).flatMap(([path, value]) => {
      if (value !== undefined) return writeNode(this.nodes, HOME + path, Buffer.from(value));
      return this.nodes.has(HOME + path) ? removeNode(this.nodes, HOME + path) : [];
    });
    this.announce(changes);
  }

  /** xenstored ends and comes back with all nodes: connections, watches and transactions are lost. */
  restart(): void {
    this.scheduler.tell('xenstored', () => 'is restarted');
    for (const connection of [...this.connections]) connection.lose();
  }
}
