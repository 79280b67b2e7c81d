import type { WatchListener } from './xenstore.js';

/** A watch that is served from the events of a covering watch. */
export interface CoveredWatch {
  readonly path: string;
  readonly listener: WatchListener;
}

/**
 * A tree of watches by the segments of their paths. An event finds the watches that it concerns,
 * and no others.
 */
export class WatchTree {
  readonly #children = new Map<string, WatchTree>();
  readonly #watches = new Set<CoveredWatch>();

  add(watch: CoveredWatch): void {
    let at: WatchTree = this;
    for (const name of watch.path.split('/')) {
      let next = at.#children.get(name);
      if (next === undefined) {
        next = new WatchTree();
        at.#children.set(name, next);
      }
      at = next;
    }
    at.#watches.add(watch);
  }

  /** Removes a watch. Returns false if the watch was not in the tree. */
  delete(watch: CoveredWatch): boolean {
    return this.#delete(watch, watch.path.split('/'), 0);
  }

  #delete(watch: CoveredWatch, names: readonly string[], depth: number): boolean {
    const name = names[depth];
    if (name === undefined) return this.#watches.delete(watch);
    const child = this.#children.get(name);
    if (child === undefined) return false;
    const deleted = child.#delete(watch, names, depth + 1);
    if (child.#isEmpty()) this.#children.delete(name);
    return deleted;
  }

  /**
   * Returns the watches that a change of `path` concerns, each with the path that its listener is
   * told. Watches on the node and above it are told `path`. Watches below the node are told their
   * own path, because the node may have been removed with everything below it.
   */
  concerned(path: string): [watch: CoveredWatch, told: string][] {
    const found: [CoveredWatch, string][] = [];
    let at: WatchTree = this;
    for (const name of path.split('/')) {
      const next = at.#children.get(name);
      if (next === undefined) return found;
      at = next;
      for (const watch of at.#watches) found.push([watch, path]);
    }
    for (const child of at.#children.values()) {
      for (const watch of child.all()) found.push([watch, watch.path]);
    }
    return found;
  }

  *all(): Generator<CoveredWatch> {
    yield* this.#watches;
    for (const child of this.#children.values()) yield* child.all();
  }

  #isEmpty(): boolean {
    return this.#watches.size === 0 && this.#children.size === 0;
  }
}
