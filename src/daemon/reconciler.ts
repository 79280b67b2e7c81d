/** A comparison of one vbd with its nodes that is under way. */
interface Reconciliation {
  readonly done: Promise<void>;
  /** `again`: the vbd has changed since the comparison began, so another one must follow. */
  readonly progress: { again: boolean };
}

/** Compares vbds with their nodes. One vbd is never compared twice at the same time. */
export class Reconciler {
  readonly #compare: (path: string) => Promise<void>;
  /** Vbds to reconcile as soon as all events that arrived together are known. */
  readonly #due = new Set<string>();
  readonly #underWay = new Map<string, Reconciliation>();

  /** @param compare compares the vbd of a backend path with its nodes, once. */
  constructor(compare: (path: string) => Promise<void>) {
    this.#compare = compare;
  }

  /**
   * Reconciles a vbd soon. Batches events: a new vbd makes one event per node, all at once, and one
   * read is enough.
   */
  schedule(path: string): void {
    if (this.#due.size === 0) {
      queueMicrotask(() => {
        const paths = [...this.#due];
        this.#due.clear();
        for (const due of paths) this.reconcile(due).catch(() => undefined);
      });
    }
    this.#due.add(path);
  }

  /**
   * Compares one vbd with its nodes. A change during the comparison leads to another one. Resolves
   * when that has been done as well. Rejects with the error of the last comparison.
   */
  reconcile(path: string): Promise<void> {
    const underWay = this.#underWay.get(path);
    if (underWay !== undefined) {
      underWay.progress.again = true;
      return underWay.done;
    }
    const progress = { again: false };
    const done = this.#reconcileUntilQuiet(path, progress);
    this.#underWay.set(path, { done, progress });
    return done;
  }

  async #reconcileUntilQuiet(path: string, progress: Reconciliation['progress']): Promise<void> {
    try {
      do {
        progress.again = false;
        try {
          await this.#compare(path);
        } catch (error) {
          if (!progress.again) throw error;
        }
      } while (progress.again);
    } finally {
      // Nothing runs between the last check of `again` and this line. A later change starts anew.
      this.#underWay.delete(path);
    }
  }
}
