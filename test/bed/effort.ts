/** Whether the long tests make all of their tries, as `.ci/run` wants; by hand a sample has to do. */
const FULL = process.env.XEN_BLKBACK_EFFORT === 'full';

/** How often something is tried: `full` times in CI, `usual` times otherwise. */
export function effort(full: number, usual: number): number {
  return FULL ? full : usual;
}

/** Every so many of a list, evenly spread; all of it in CI. */
export function sample<T>(list: readonly T[], every: number): T[] {
  return list.filter((_, index) => FULL || index % every === 0);
}

/** Skips a test by name that takes long and finds what rarely changes, unless all is to be tried. */
export function needsFullEffort(context: Mocha.Context): void {
  if (FULL) return;
  console.log(`SKIPPED: ${context.test?.fullTitle()}: XEN_BLKBACK_EFFORT is not full`);
  context.skip();
}
