import type { Devnum } from '../linux/devnum.js';
import type { Extent } from './extent.js';
import type { FamiliarDevice } from './familiar-name.js';
import type { NearbyDevices } from './storage-lookup.js';

/** How bytes are used. */
export type Access = 'read-only' | 'read-write';

/** A use of some bytes by this domain itself. */
export interface LocalUse {
  readonly kind: 'mount' | 'swap' | 'claim' | 'image';
  readonly access: Access;
  /** Path of the device or file that is used. */
  readonly path: string;
  /**
   * Where the device is mounted, which device stands on it, or which programs have the file open.
   * Empty where only the claim is known.
   */
  readonly where: string;
  readonly devnum: Devnum | undefined;
  /** The device that stands on it or is mounted, under the name that people know. */
  readonly holder?: FamiliarDevice | undefined;
  /** The guest that the program serves. */
  readonly domid?: number | undefined;
}

/**
 * A use of some bytes that nothing explains: neither a vbd, nor a mount, nor swap, nor a device on
 * top. The use by a vbd looks like this from the end of its directory in sysfs to the moment at
 * which blkback closes the device.
 */
export interface UnexplainedUse {
  readonly kind: 'unexplained';
  readonly access: Access;
  /** Path of the device that is open. */
  readonly path: string;
  readonly devnum: Devnum;
  /** Processes that have it open, as far as they can be seen. */
  readonly processes: readonly string[];
  /** The device under the name that people know, where it is not the wanted device. */
  readonly holder?: FamiliarDevice | undefined;
  /**
   * The guest for which blkback may still open the device, although XenStore does not name it any
   * more.
   */
  readonly pendingFor?: number | undefined;
  /** The number of requests that the disk has not answered yet, where only these show the use. */
  readonly requests?: number | undefined;
}

/** The bytes whose uses are looked for. */
export interface ConflictQuery {
  readonly extents: readonly Extent[];
  /** Every device of the export, as `major:minor` (`Reach.stack`). */
  readonly stack: ReadonlySet<string>;
  /** Devices of the export itself on which a claim by others can be seen (`Reach.unclaimed`). */
  readonly unclaimed: readonly Devnum[];
  /** Devices that may have some of the bytes as well. */
  readonly nearby: NearbyDevices;
  /**
   * Devices, as `major:minor`, whose claims are accounted for: those of the export itself and of
   * guests.
   */
  readonly known: ReadonlySet<string>;
  /** Returns whether a use with this access to these bytes forbids the export. */
  readonly clashes: (access: Access, extents: readonly Extent[]) => boolean;
  /** Returns whether a vbd has this device, which explains why the device is open. */
  readonly isGuests: (devnum: Devnum) => boolean;
  /** Returns whether blkback has this device, or a partition of it, open for a vbd. */
  readonly isOpenForGuest: (devnum: Devnum) => boolean;
  readonly signal: AbortSignal;
}
