import { type Devnum, formatDevnum, parseDevnum } from '../linux/devnum.js';
import type { Reach } from './reach.js';
import { scanLoops } from './scan-loops.js';
import { readHolders } from './stacked-block.js';
import type { StorageSnapshot } from './storage-snapshot.js';

/** The bytes around which devices are looked for. */
export interface NearbyQuery extends Pick<Reach, 'extents' | 'stack'> {
  /** What was looked up for this question already. */
  readonly snapshot: StorageSnapshot;
  /** The devices of vbds. */
  readonly devices: readonly Devnum[];
  /** Whether devices that are only read are of interest, too. */
  readonly readers: boolean;
}

/** Devices that may have some of the bytes. The caller has to find out which of them do. */
export interface NearbyDevices {
  /** Bound loop devices. */
  readonly loops: readonly Devnum[];
  /** Devices that stand on a device of the stack, directly or through other devices. */
  readonly above: readonly Devnum[];
  /** Returns whether a device of a vbd may have some of the bytes; `false` only if it has none. */
  readonly mayHave: (devnum: Devnum) => boolean;
}

/** The knowledge of which devices there are, and of what they stand on. */
export interface StorageLookup {
  /**
   * Finds the devices around some bytes, as they are at a moment after the call. Throws
   * `SystemError`.
   */
  findNearby(query: NearbyQuery): Promise<NearbyDevices>;
}

/**
 * The look-up that asks every device and remembers nothing, for a process that lives for one add.
 */
export const directLookup: StorageLookup = {
  findNearby: async ({ snapshot, stack, readers }) => ({
    loops: await scanLoops(readers),
    above: listAbove(snapshot, stack),
    mayHave: () => true,
  }),
};

/** Lists all devices that stand on the given devices, directly or through other devices. */
export function listAbove(snapshot: StorageSnapshot, devices: ReadonlySet<string>): Devnum[] {
  const keys = new Set(devices);
  // The loop also visits the keys that it adds to the set.
  for (const key of keys) {
    const devnum = parseDevnum(key);
    const block = devnum && snapshot.block(devnum);
    for (const holder of block ? readHolders(block) : []) keys.add(formatDevnum(holder));
  }
  return [...keys]
    .filter((key) => !devices.has(key))
    .map(parseDevnum)
    .filter((devnum) => devnum !== undefined);
}
