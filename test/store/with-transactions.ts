import type { TransactionStep, Xenstore } from '../../src/xenstore/xenstore.js';

/** One transaction of a store. */
export type Transaction = () => ReturnType<Xenstore['transact']>;

/** Returns a store whose transactions go through `around`, which knows their steps. */
export function withTransactions(
  store: Xenstore,
  around: (
    transact: Transaction,
    steps: readonly TransactionStep[],
  ) => ReturnType<Xenstore['transact']>,
): Xenstore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name !== 'transact') return value.bind(target);
      const transact: Xenstore['transact'] = (steps, options) =>
        around(() => target.transact(steps, options), steps);
      return transact;
    },
  });
}
