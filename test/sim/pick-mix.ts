import { Random } from '../bed/random.js';
import { MAPPER_MIXES } from './mapper-mix.js';
import { ANYTHING, type Mix, THEMES } from './mix.js';

/** The percentage of schedules that have device-mapper. */
const WITH_MAPPER = 20;

/**
 * Chooses what happens how often. A generator of its own decides which schedules have
 * device-mapper, so that a seed means the same whatever their share is.
 */
export function pickMix(random: Random, seed: number): Mix {
  if (new Random(~seed).percent(WITH_MAPPER)) return random.pick(MAPPER_MIXES);
  return random.percent(25) ? ANYTHING : random.pick(THEMES);
}
