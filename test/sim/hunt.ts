import { bundleEngine, type Mutant } from './bundle.js';
import { runSchedule } from './schedule.js';

/** The schedule that has found a mutant. */
export interface Catch {
  readonly seed: number;
  readonly violation: string;
}

/** Runs schedules with a mutant until one fails. Returns `undefined` if none of them fails. */
export async function hunt(
  mutant: Mutant,
  seed: number,
  schedules: number,
): Promise<Catch | undefined> {
  const session = await bundleEngine(mutant);
  for (let at = seed; at < seed + schedules; at++) {
    const [violation] = (await runSchedule(session, at)).violations;
    if (violation !== undefined) return { seed: at, violation };
  }
  return undefined;
}
