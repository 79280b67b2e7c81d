import { type Change, type Records, Refusal, type TreeNode } from './memory-tree.js';

/**
 * A transaction's view of the store. The view of a node is its state when the transaction touches
 * it first. A commit is refused if one of these nodes has changed since. A change of the list of
 * children counts, too.
 */
export class MemoryTransaction implements Records {
  readonly #store: Records;
  readonly #touched = new Map<
    string,
    { readonly before: TreeNode | undefined; now: TreeNode | undefined }
  >();
  /** The changes that watches are told about after the commit. */
  readonly changes: Change[] = [];

  constructor(store: Records) {
    this.#store = store;
  }

  get(path: string): TreeNode | undefined {
    return this.#touch(path).now;
  }

  set(path: string, node: TreeNode): void {
    this.#touch(path).now = node;
  }

  delete(path: string): void {
    this.#touch(path).now = undefined;
  }

  commit(): void {
    for (const [path, { before }] of this.#touched) {
      if (this.#store.get(path) !== before) throw new Refusal('EAGAIN');
    }
    for (const [path, { before, now }] of this.#touched) {
      if (now === before) continue;
      if (now) this.#store.set(path, now);
      else this.#store.delete(path);
    }
  }

  #touch(path: string): { readonly before: TreeNode | undefined; now: TreeNode | undefined } {
    let entry = this.#touched.get(path);
    if (!entry) {
      const node = this.#store.get(path);
      entry = { before: node, now: node };
      this.#touched.set(path, entry);
    }
    return entry;
  }
}
