import type { Xenstore } from '../../src/xenstore/xenstore.js';

/** One read of several nodes of a store. */
export type Read = () => ReturnType<Xenstore['readMany']>;

/** Returns a store whose reads of several nodes go through `around`, which knows their paths. */
export function withReads(
  store: Xenstore,
  around: (read: Read, paths: readonly string[]) => ReturnType<Xenstore['readMany']>,
): Xenstore {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name !== 'readMany') return value.bind(target);
      const readMany: Xenstore['readMany'] = (paths, options) =>
        around(() => target.readMany(paths, options), paths);
      return readMany;
    },
  });
}
