import { constants } from 'node:os';
import { overFailure, requestFailure } from './failure.js';
import { checkPath, checkValue } from './path.js';
import { decodePermissions, encodePermissions } from './permissions.js';
import type { Requests } from './requests.js';
import type { Arguments, Operation, Values } from './wire.js';
import type { Permission, RequestOptions, Transaction, Value } from './xenstore.js';
import { isXenstoreError } from './xenstore-error.js';

/** The operations on nodes: inside the transaction `tx`, or outside of any (0). */
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

  /** Lets no operation through any more: the transaction has ended. */
  protected endOperations(): void {
    this.#over = true;
  }

  async read(path: string, options?: RequestOptions): Promise<Buffer> {
    checkPath(path);
    return await this.#send('read', path, undefined, options);
  }

  async readMany(
    paths: readonly string[],
    options?: RequestOptions,
  ): Promise<(Buffer | undefined)[]> {
    for (const path of paths) checkPath(path);
    if (paths.length === 0) return [];
    const values = await this.#send('readMany', '', paths, options);
    return values.map((value, index) => {
      if (typeof value !== 'number') return value;
      if (value === constants.errno.ENOENT) return undefined;
      throw requestFailure('read', paths[index] ?? '', value);
    });
  }

  async write(path: string, value: Value, options?: RequestOptions): Promise<void> {
    checkPath(path);
    await this.#send('write', path, checkValue(path, value), options);
  }

  async mkdir(path: string, options?: RequestOptions): Promise<void> {
    checkPath(path);
    await this.#send('mkdir', path, undefined, options);
  }

  async remove(path: string, options?: RequestOptions): Promise<void> {
    checkPath(path);
    try {
      await this.#send('remove', path, undefined, options);
    } catch (error) {
      // xenstored accepts the removal of a missing node only where its parent exists.
      if (!isXenstoreError(error, 'ENOENT')) throw error;
    }
  }

  async directory(path: string, options?: RequestOptions): Promise<string[]> {
    checkPath(path);
    return await this.#send('directory', path, undefined, options);
  }

  async getPermissions(path: string, options?: RequestOptions): Promise<Permission[]> {
    checkPath(path);
    return decodePermissions(await this.#send('getPermissions', path, undefined, options));
  }

  async setPermissions(
    path: string,
    permissions: readonly Permission[],
    options?: RequestOptions,
  ): Promise<void> {
    checkPath(path);
    await this.#send('setPermissions', path, encodePermissions(path, permissions), options);
  }

  #send<O extends Operation>(
    op: O,
    path: string,
    argument: Arguments[O],
    options: RequestOptions | undefined,
  ): Promise<Values[O]> {
    if (this.#over) throw overFailure(op, path);
    const signals = [this.#signal, options?.signal].filter((signal) => signal !== undefined);
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0];
    return this.#requests.send(op, path, argument, { tx: this.#tx, signal });
  }
}
