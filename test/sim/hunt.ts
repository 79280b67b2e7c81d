import { bundleEngine, type Mutant } from './bundle.js';
import { featureOf } from './features.js';
import { runSchedule } from './schedule.js';

/** Where to look for a mutant. */
export interface HuntOptions {
  /** The schedule that found the mutant before. */
  readonly known?: number | undefined;
  readonly seed: number;
  readonly schedules: number;
}

/** The schedule that has found a mutant. */
export interface Catch {
  readonly seed: number;
  readonly violation: string;
}

/**
 * Runs schedules with a mutant until one fails: the known one first, as a change of the program
 * moves them. Returns `undefined` if none of them fails. */
export async function hunt(
  mutant: Mutant,
  { known, seed, schedules }: HuntOptions,
): Promise<Catch | undefined> {
  const session = await bundleEngine(mutant);
  const range = seedsFor(mutant, seed, schedules);
  for (const at of known === undefined ? range : [known, ...range]) {
    const [violation] = (await runSchedule(session, at)).violations;
    if (violation !== undefined) return { seed: at, violation };
  }
  return undefined;
}

/** Returns the seeds from `seed` on of as many schedules as may find a mutant. */
function seedsFor({ needs }: Mutant, seed: number, schedules: number): number[] {
  const seeds: number[] = [];
  for (let at = seed; seeds.length < schedules; at++) {
    if ([needs ?? []].flat().every((feature) => featureOf(at, feature))) seeds.push(at);
  }
  return seeds;
}
