import { skipByName } from './skip.js';

/** Whether long tests make all of their tries, as in `.ci/run`. By hand, they make a sample. */
const FULL = process.env.XEN_BLKBACK_EFFORT === 'full';

/** Returns the number of tries: `full` in CI, `usual` otherwise. */
export function effort(full: number, usual: number): number {
  return FULL ? full : usual;
}

/** Returns every `every`-th element of a list. In CI, returns all elements. */
export function sample<T>(list: readonly T[], every: number): T[] {
  return list.filter((_, index) => FULL || index % every === 0);
}

/**
 * Skips the test, or in a `before` hook its whole suite, by name, unless the long tests make all of
 * their tries.
 */
export function needsFullEffort(context: Mocha.Context): void {
  if (FULL) return;
  skipByName(context, 'it takes long; XEN_BLKBACK_EFFORT=full runs it');
}
