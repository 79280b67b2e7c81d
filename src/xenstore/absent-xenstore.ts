import type { Xenstore } from './xenstore.js';
import { XenstoreError } from './xenstore-error.js';

/**
 * What can be asked of a XenStore that nobody serves: it has no nodes. For questions that the kernel can
 * answer in part. Whoever uses it says what could not be asked; nothing can be changed in it.
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
