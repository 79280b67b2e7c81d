import { Random } from '../bed/random.js';
import { MAPPER_MIXES } from './mapper-mix.js';
import { ANYTHING, FAULTY, type Mix, THEMES } from './mix.js';

/** The percentage of schedules that have device-mapper. */
const WITH_MAPPER = 20;

/**
 * Tells whether a schedule has device-mapper. A generator of its own decides this, so that a seed
 * without device-mapper means the same whatever their share is.
 */
export function hasMapper(seed: number): boolean {
  return new Random(~seed).percent(WITH_MAPPER);
}

/** The percentage of the other schedules in which guests cause errors of the driver. */
const WITH_FAULTS = 6;

/** Chooses what happens how often. */
export function pickMix(random: Random, seed: number): Mix {
  if (hasMapper(seed)) return random.pick(MAPPER_MIXES);
  if (new Random(seed ^ 0x5bd1e995).percent(WITH_FAULTS)) return FAULTY;
  return random.percent(25) ? ANYTHING : random.pick(THEMES);
}
