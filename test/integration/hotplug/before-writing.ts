import type { Xenstore } from '../../../src/xenstore/xenstore.js';
import { withTransactions } from '../../store/with-transactions.js';

/**
 * Returns `store` with an interruption: `happen` runs once, just before the first transaction that
 * writes (or removes, if that is wanted) a node of this name.
 */
export function beforeWriting(
  store: Xenstore,
  node: string,
  happen: () => Promise<unknown>,
  wanted: 'write' | 'remove' = 'write',
): Xenstore {
  let happened = false;
  return withTransactions(store, async (transact, steps) => {
    if (!happened && steps.some(({ op, path }) => op === wanted && path.endsWith(`/${node}`))) {
      happened = true;
      await happen();
    }
    return await transact();
  });
}
