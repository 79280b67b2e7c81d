import { Random } from '../bed/random.js';
import { MAPPER_MIXES } from './mapper-mix.js';
import { ANYTHING, type Mix, THEMES } from './mix.js';

/** The percentage of schedules that have device-mapper. */
const WITH_MAPPER = 20;

/**
 * Tells whether a schedule has device-mapper. A generator of its own decides this, so that a seed
 * without device-mapper means the same whatever their share is.
 */
export function hasMapper(seed: number): boolean {
  return new Random(~seed).percent(WITH_MAPPER);
}

/** Chooses what happens how often. */
export function pickMix(random: Random, seed: number): Mix {
  if (hasMapper(seed)) return random.pick(MAPPER_MIXES);
  return random.percent(25) ? ANYTHING : random.pick(THEMES);
}
