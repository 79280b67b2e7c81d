import { Random } from '../bed/random.js';

/** Something that only some of the schedules have. */
export type Feature =
  | 'device-mapper'
  | 'bare /dev'
  | 'kin'
  | 'quotas'
  | 'partitions'
  | 'uevents'
  | 'killed removes'
  | 'gc'
  | 'udev';

/** How often a feature comes. */
interface Share {
  readonly percent: number;
  /** A number that makes the choices for this feature independent of those for the others. */
  readonly salt: number;
  /** Features that exclude this one. */
  readonly without?: readonly Feature[];
}

/** The salts are chosen so that no later feature changes a schedule of `mutant-seeds.ts`. */
const SHARES: Readonly<Record<Feature, Share>> = {
  'device-mapper': { salt: -1, percent: 20 },
  'bare /dev': { salt: 0x9e3779b1, percent: 5 },
  quotas: { salt: 0x8d12dfd, percent: 6 },
  partitions: { salt: 0x4540215f, percent: 6, without: ['device-mapper', 'bare /dev', 'kin'] },
  uevents: { salt: 0x4b7c3355, percent: 20 },
  kin: { salt: 0x2e2ac0ea, percent: 5, without: ['device-mapper'] },
  'killed removes': {
    ...{ salt: 0x1b56c4e9, percent: 7 },
    without: ['device-mapper', 'kin', 'partitions'],
  },
  gc: { salt: 0x3c6ef372, percent: 7 },
  udev: { salt: 0x243f6a88, percent: 8 },
};

/**
 * Returns the random choices of a feature, if a schedule has the feature. They come from a generator
 * of their own, so that a seed without the feature means the same whatever the feature's share is.
 */
export function featureOf(seed: number, feature: Feature): Random | undefined {
  const { salt, percent, without = [] } = SHARES[feature];
  if (without.some((other) => featureOf(seed, other))) return undefined;
  const random = new Random(seed ^ salt);
  return random.percent(percent) ? random : undefined;
}
