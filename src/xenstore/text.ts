import type { RequestOptions, Transaction } from './xenstore.js';
import { isXenstoreError } from './xenstore-error.js';

/** Returns a node's value as UTF-8 text; `undefined` where the node does not exist. */
export async function readText(
  store: Pick<Transaction, 'read'>,
  path: string,
  options?: RequestOptions,
): Promise<string | undefined> {
  try {
    return (await store.read(path, options)).toString('utf8');
  } catch (error) {
    if (isXenstoreError(error, 'ENOENT')) return undefined;
    throw error;
  }
}
