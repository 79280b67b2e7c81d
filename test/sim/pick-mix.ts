import { Random } from '../bed/random.js';
import { featureOf } from './features.js';
import { KIN_MIXES } from './kin-mix.js';
import { MAPPER_MIXES } from './mapper-mix.js';
import { ANYTHING, FAULTY, LEFT_BEHIND, type Mix, THEMES, UNDERCUT } from './mix.js';
import { PARTITION_MIXES } from './partition-mix.js';

/** The percentage of the other schedules in which guests cause errors of the driver. */
const WITH_FAULTS = 6;

/** Chooses what happens how often. */
export function pickMix(random: Random, seed: number): Mix {
  if (featureOf(seed, 'device-mapper')) return random.pick(MAPPER_MIXES);
  if (featureOf(seed, 'kin')) return random.pick(KIN_MIXES);
  if (featureOf(seed, 'partitions')) return random.pick(PARTITION_MIXES);
  if (featureOf(seed, 'gc')?.percent(60)) return LEFT_BEHIND;
  if (featureOf(seed, 'killed removes')) return UNDERCUT;
  if (new Random(seed ^ 0x5bd1e995).percent(WITH_FAULTS)) return FAULTY;
  return random.percent(25) ? ANYTHING : random.pick(THEMES);
}
