/** Which Debian the hypervisor, the kernel and the programs of dom0 are from. */
export type Generation = 'bookworm' | 'trixie' | 'backports';

/** Which xen-blkback dom0 has: Debian's, or the same with xen-blkback-diskseq.patch. */
export type Driver = 'stock' | 'diskseq';

/** One boot of the machine. */
export interface Run {
  readonly generation: Generation;
  readonly driver: Driver;
  /** Scenarios to run; none for all. */
  readonly scenarios: readonly string[];
}

export interface Choice {
  readonly generation: readonly string[];
  readonly driver: readonly string[];
  readonly scenario: readonly string[];
  /** Whether the sample is enough on every generation. */
  readonly sample: boolean;
}

/** The first is the one that everything is run on. */
export const GENERATIONS: readonly Generation[] = ['trixie', 'bookworm', 'backports'];
export const DRIVERS: readonly Driver[] = ['stock', 'diskseq'];

/** What an older or newer kernel, C library or toolstack would break first. */
export const SAMPLE: readonly string[] = [
  'file-disk',
  'block-attach',
  'failing-block-attach',
  'mapper-by-name-and-uuid',
  'layer-crypt',
  'double-writer',
  'daemon',
  'save-restore',
  'pvh',
  'hvm',
  'xenstored-live-update',
  'driver-domain',
  'bootloader',
  'opened-cycles',
  'xenstore-device',
  'times',
];

/**
 * The boots that a command line asks for. Without a word: everything on the first generation with both
 * drivers, and the sample on the others with Debian's own. With `sample`, only the sample on the first,
 * too.
 */
export function planRuns(choice: Choice): Run[] {
  const generations = chosen('--generation', choice.generation, GENERATIONS);
  const drivers = chosen('--driver', choice.driver, DRIVERS);
  if (choice.generation.length > 0 || choice.scenario.length > 0 || choice.driver.length > 0) {
    const asked = choice.generation.length > 0 ? generations : generations.slice(0, 1);
    return asked.flatMap((generation) =>
      drivers.map((driver) => ({ generation, driver, scenarios: choice.scenario })),
    );
  }
  const most = choice.sample ? SAMPLE : [];
  return generations.flatMap((generation, index): Run[] =>
    index === 0
      ? drivers.map((driver) => ({ generation, driver, scenarios: most }))
      : [{ generation, driver: 'stock', scenarios: SAMPLE }],
  );
}

/** Those of the known names that are given, in the order of the known; all if none is. */
function chosen<T extends string>(
  option: string,
  given: readonly string[],
  known: readonly T[],
): readonly T[] {
  const unknown = given.find((name) => !known.some((one) => one === name));
  if (unknown !== undefined) {
    throw new Error(`${option} ${unknown}: one of ${known.join(', ')} is needed`);
  }
  return given.length > 0 ? known.filter((one) => given.includes(one)) : known;
}
