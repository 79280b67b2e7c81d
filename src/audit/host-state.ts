import type { Devnum } from '../linux/devnum.js';
import type { MapperState } from '../linux/mapper-state.js';
import type { OrphanedFrontend } from '../vbd/orphaned-frontends.js';
import type { VbdPath } from '../vbd/vbd-path.js';

// The state of a host, as one look of an audit sees it. Each part is read once.

/** A vbd that XenStore or the kernel knows. */
export interface HostVbd {
  readonly vbd: VbdPath;
  /** XenStore no longer knows the vbd, but the kernel has a device open for it. */
  readonly nodesGone: boolean;
  readonly online: boolean;
  readonly state: string | undefined;
  /** The base name of the hotplug script. */
  readonly script: string | undefined;
  /** The script is neither ours nor Xen's `block`: nobody here knows what it has made. */
  readonly isScriptUnknown: boolean;
  /** The path of the frontend directory in XenStore. */
  readonly frontend: string | undefined;
  /** The frontend no longer exists in XenStore. Its guest may have removed it. */
  readonly frontendGone: boolean;
  /**
   * The frontend is gone, and the guest itself is gone from XenStore, too. dom0 is always there, so
   * its missing frontend is enough.
   */
  readonly guestGone: boolean;
  readonly hotplugStatus: string | undefined;
  readonly hotplugError: string | undefined;
  /** The node by which Xen's own script finds the device that it has made and must take apart. */
  readonly node: string | undefined;
  readonly published: HostDevice | undefined;
  /** The device that blkback has open according to the kernel. */
  readonly open: Devnum | undefined;
}

/** The device that XenStore names for a vbd. */
export interface HostDevice {
  readonly devnum: Devnum;
  /** The diskseq that was published. */
  readonly diskseq: bigint | undefined;
  /** The present diskseq. `undefined` if the device is gone or has no diskseq. */
  readonly presentDiskseq: bigint | undefined;
  readonly isPresent: boolean;
}

/** A bound loop device that belongs to no vbd and that nothing visibly uses. */
export interface HostLoop {
  readonly path: string;
  readonly devnum: Devnum;
  readonly diskseq: bigint;
  readonly backingFile: string;
  readonly autoclear: boolean;
}

/** Two vbds of different virtual machines that use the same bytes, where `writer` may write. */
export interface HostOverlap {
  readonly writer: VbdPath;
  readonly other: VbdPath;
  readonly device: string;
}

/** A readable record of a vbd in the run directory. */
export interface HostRecord {
  readonly vbd: VbdPath;
  readonly path: string;
}

/** The state of a host that an audit judges. */
export interface HostState {
  readonly vbds: readonly HostVbd[];
  readonly loops: readonly HostLoop[];
  readonly overlaps: readonly HostOverlap[];
  readonly layers: readonly { readonly vbd: VbdPath; readonly layer: MapperState }[];
  /** Vbds that have a node below `error/`, with the text of the node. */
  readonly errors: readonly { readonly vbd: VbdPath; readonly text: string }[];
  /** The disks of guests whose backend domain is gone. */
  readonly orphans: readonly OrphanedFrontend[];
  readonly records: readonly HostRecord[];
  /** Files of the run directory that are named like records but cannot be read as records. */
  readonly strayFiles: readonly string[];
}
