import type { Devnum } from '../linux/devnum.js';
import type { Extent } from './extent.js';
import type { FamiliarDevice } from './familiar-name.js';
import type { Nearby } from './nearby.js';

/** What is done with some bytes. */
export type Access = 'read-only' | 'read-write';

/** A use that this domain itself makes of some bytes. */
export interface LocalUse {
  readonly kind: 'mount' | 'swap' | 'claim' | 'image';
  readonly access: Access;
  /** Path of the device or file that is used. */
  readonly path: string;
  /**
   * Where it is mounted, what stands on it, or which programs have it open; empty where only the claim
   * is known.
   */
  readonly where: string;
  readonly devnum: Devnum | undefined;
  /** What stands on it, or is mounted, as people know it. */
  readonly holder?: FamiliarDevice | undefined;
  /** The guest that the program serves. */
  readonly domid?: number | undefined;
}

/**
 * A use of some bytes that nobody explains: neither a vbd, nor a mount, nor swap, nor a device on top.
 * So it looks between the end of a vbd's directory in sysfs and the moment at which blkback closes the
 * device.
 */
export interface UnexplainedUse {
  readonly kind: 'unexplained';
  readonly access: Access;
  /** Path of the device that is open. */
  readonly path: string;
  readonly devnum: Devnum;
  /** Processes that have it open, as far as they can be seen. */
  readonly processes: readonly string[];
  /** The device as people know it, where it is not the one that is wanted. */
  readonly holder?: FamiliarDevice | undefined;
  /** The guest for which blkback may still open the device, although XenStore does not name it any more. */
  readonly pendingFor?: number | undefined;
}

/** Whose uses are looked for. */
export interface Sought {
  readonly extents: readonly Extent[];
  /** Devices of the export itself whose claim says something (`Reach.unclaimed`). */
  readonly unclaimed: readonly Devnum[];
  /** Devices that may have some of the bytes too. */
  readonly nearby: Nearby;
  /** Devices, `major:minor`, whose claims are accounted for: of the export itself and of guests. */
  readonly known: ReadonlySet<string>;
  /** Whether a use of this access that has these bytes forbids the export. */
  readonly clashes: (access: Access, extents: readonly Extent[]) => boolean;
  /** Whether a vbd has this device, so that it is accounted for who has it open. */
  readonly isGuests: (devnum: Devnum) => boolean;
  readonly signal: AbortSignal;
}
