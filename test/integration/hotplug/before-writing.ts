import type { Xenstore } from '../../../src/xenstore/xenstore.js';

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
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name !== 'transact') return value.bind(target);
      const transact: Xenstore['transact'] = async (steps, options) => {
        if (!happened && steps.some(({ op, path }) => op === wanted && path.endsWith(`/${node}`))) {
          happened = true;
          await happen();
        }
        return target.transact(steps, options);
      };
      return transact;
    },
  });
}
