import type { Xenstore } from './xenstore.js';
import { XenstoreError } from './xenstore-error.js';

/**
 * A stand-in for a XenStore that nobody serves, for questions that the kernel can answer in part.
 * It has no nodes: a read of a node, of its children or of its permissions rejects with `ENOENT`.
 * Every change, watch and transaction rejects with the given cause. The caller has to say which
 * questions could not be asked.
 */
export class AbsentXenstore implements Xenstore {
  readonly #cause: unknown;

  constructor(cause: unknown) {
    this.#cause = cause;
  }

  readMany(paths: readonly string[]): Promise<undefined[]> {
    return Promise.resolve(paths.map(() => undefined));
  }

  read(path: string): Promise<never> {
    return this.#noNode(path);
  }

  directory(path: string): Promise<never> {
    return this.#noNode(path);
  }

  getPermissions(path: string): Promise<never> {
    return this.#noNode(path);
  }

  write(): Promise<never> {
    return Promise.reject(this.#cause);
  }

  mkdir(): Promise<never> {
    return Promise.reject(this.#cause);
  }

  remove(): Promise<never> {
    return Promise.reject(this.#cause);
  }

  setPermissions(): Promise<never> {
    return Promise.reject(this.#cause);
  }

  watch(): Promise<never> {
    return Promise.reject(this.#cause);
  }

  transaction(): Promise<never> {
    return Promise.reject(this.#cause);
  }

  transact(): Promise<never> {
    return Promise.reject(this.#cause);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #noNode(path: string): Promise<never> {
    const message = `there is no ${path} in a XenStore that cannot be reached`;
    return Promise.reject(new XenstoreError(message, { code: 'ENOENT', path }));
  }
}
