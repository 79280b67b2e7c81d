import { overFailure } from './failure.js';
import { ListDirectory } from './list-directory.js';
import type { Tail } from './packet.js';
import { checkPath, checkValue } from './path.js';
import { encodePermissions } from './permissions.js';
import { ReadMany } from './read-many.js';
import type { RequestName, Results } from './request.js';
import type { Requests } from './requests.js';
import type { Permission, RequestOptions, Transaction, Value } from './xenstore.js';

/** The operations on nodes, inside the transaction `tx`, or outside of any transaction (0). */
export class Nodes implements Transaction {
  readonly #requests: Requests;
  readonly #tx: number;
  readonly #signal: AbortSignal | undefined;
  #over = false;

  constructor(requests: Requests, tx = 0, signal?: AbortSignal) {
    this.#requests = requests;
    this.#tx = tx;
    this.#signal = signal;
  }

  /** Makes every later operation fail, because the transaction has ended. */
  protected endOperations(): void {
    this.#over = true;
  }

  async read(path: string, options?: RequestOptions): Promise<Buffer> {
    return this.#send('read', path, undefined, options);
  }

  async readMany(
    paths: readonly string[],
    options?: RequestOptions,
  ): Promise<(Buffer | undefined)[]> {
    for (const path of paths) checkPath(path);
    if (paths.length === 0) return [];
    if (this.#over) throw overFailure('read', paths[0] ?? '');
    return this.#requests.run(
      new ReadMany(paths, { tx: this.#tx, signal: this.#signalOf(options) }),
    );
  }

  async write(path: string, value: Value, options?: RequestOptions): Promise<void> {
    checkPath(path);
    return this.#send('write', path, checkValue(path, value), options);
  }

  async mkdir(path: string, options?: RequestOptions): Promise<void> {
    return this.#send('mkdir', path, undefined, options);
  }

  async remove(path: string, options?: RequestOptions): Promise<void> {
    return this.#send('remove', path, undefined, options);
  }

  async directory(path: string, options?: RequestOptions): Promise<string[]> {
    checkPath(path);
    if (this.#over) throw overFailure('directory', path);
    return this.#requests.run(
      new ListDirectory(path, { tx: this.#tx, signal: this.#signalOf(options) }),
    );
  }

  async getPermissions(path: string, options?: RequestOptions): Promise<Permission[]> {
    return this.#send('getPermissions', path, undefined, options);
  }

  async setPermissions(
    path: string,
    permissions: readonly Permission[],
    options?: RequestOptions,
  ): Promise<void> {
    checkPath(path);
    return this.#send('setPermissions', path, encodePermissions(path, permissions), options);
  }

  #send<N extends RequestName>(
    name: N,
    path: string,
    tail: Tail,
    options: RequestOptions | undefined,
  ): Promise<Results[N]> {
    checkPath(path);
    if (this.#over) throw overFailure(name, path);
    const signal = this.#signalOf(options);
    return this.#requests.send(name, path, path, tail, { tx: this.#tx, signal });
  }

  #signalOf(options: RequestOptions | undefined): AbortSignal | undefined {
    if (!this.#signal || !options?.signal) return this.#signal ?? options?.signal;
    return AbortSignal.any([this.#signal, options.signal]);
  }
}
