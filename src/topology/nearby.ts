import { type Devnum, formatDevnum, parseDevnum } from '../linux/devnum.js';
import type { DeviceMap } from './device-map.js';
import type { Reach } from './reach.js';
import { scanLoops } from './scan-loops.js';
import { readHolders } from './stacked-block.js';

/** What is looked for around some bytes. */
export interface NearbyQuery extends Pick<Reach, 'extents' | 'stack'> {
  /** What was looked up for this question already. */
  readonly map: DeviceMap;
  /** Devices of vbds. */
  readonly devices: readonly Devnum[];
  /** Whether devices that are read only are of interest too. */
  readonly readers: boolean;
}

/** Devices that may have some of the bytes. Whether one has is for the asker to find out. */
export interface Nearby {
  /** Bound loop devices. */
  readonly loops: readonly Devnum[];
  /** Devices that stand on a device of the stack, or on one that does, however high. */
  readonly above: readonly Devnum[];
  /** Whether a device of a vbd may have some; `false` only if it has none. */
  readonly mayHave: (devnum: Devnum) => boolean;
}

/** Knows which devices there are, and what they stand on. */
export interface Surroundings {
  /** The devices around some bytes, as they are at a moment after the call. Throws `SystemError`. */
  near(query: NearbyQuery): Promise<Nearby>;
}

/** Remembers nothing, as a process does that lives for one add: every device is looked at. */
export const unremembered: Surroundings = {
  near: async ({ map, stack, readers }) => ({
    loops: await scanLoops(readers),
    above: listAbove(map, stack),
    mayHave: () => true,
  }),
};

/** Whatever stands on some devices, however high. */
export function listAbove(map: DeviceMap, devices: ReadonlySet<string>): Devnum[] {
  const keys = new Set(devices);
  // A set that grows is walked through to its end.
  for (const key of keys) {
    const devnum = parseDevnum(key);
    const block = devnum && map.block(devnum);
    for (const holder of block ? readHolders(block) : []) keys.add(formatDevnum(holder));
  }
  return [...keys]
    .filter((key) => !devices.has(key))
    .map(parseDevnum)
    .filter((devnum) => devnum !== undefined);
}
