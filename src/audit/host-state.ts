import type { MapperState } from '../linux/device-mapper.js';
import type { Devnum } from '../linux/devnum.js';
import type { VbdPath } from '../vbd/vbd-path.js';

// What an audit looks at, as it was at one moment. Each part is read once.

export interface HostVbd {
  readonly vbd: VbdPath;
  /** XenStore does not know it any more; the kernel has a device open for it. */
  readonly nodesGone: boolean;
  readonly online: boolean;
  readonly state: string | undefined;
  /** Base name of its hotplug script. */
  readonly script: string | undefined;
  /** Where its frontend lies. */
  readonly frontend: string | undefined;
  /** XenStore has that frontend no more: its guest is gone. */
  readonly guestGone: boolean;
  readonly hotplugStatus: string | undefined;
  readonly hotplugError: string | undefined;
  /** The device that Xen's own script has made, which it takes apart by this node. */
  readonly node: string | undefined;
  readonly published: HostDevice | undefined;
  /** What blkback has open, as the kernel says. */
  readonly open: Devnum | undefined;
}

export interface HostDevice {
  readonly devnum: Devnum;
  /** The sequence number that was published. */
  readonly diskseq: bigint | undefined;
  /** The number that the device has now; `undefined`: there is no such device. */
  readonly presentDiskseq: bigint | undefined;
  readonly isPresent: boolean;
}

/** A bound loop device that neither a vbd nor another use explains. */
export interface HostLoop {
  readonly path: string;
  readonly backingFile: string;
  readonly autoclear: boolean;
}

/** Two vbds of different machines that meet on the same bytes, of which one may write them. */
export interface HostOverlap {
  readonly writer: VbdPath;
  readonly other: VbdPath;
  readonly device: string;
}

export interface HostRecord {
  readonly vbd: VbdPath;
  readonly path: string;
}

export interface HostState {
  readonly vbds: readonly HostVbd[];
  readonly loops: readonly HostLoop[];
  readonly overlaps: readonly HostOverlap[];
  readonly layers: readonly { readonly vbd: VbdPath; readonly layer: MapperState }[];
  /** Vbds that have a node below `error/`, with its text. */
  readonly errors: readonly { readonly vbd: VbdPath; readonly text: string }[];
  readonly records: readonly HostRecord[];
  /** Files of the run directory that look like records and cannot be read as such. */
  readonly strayFiles: readonly string[];
}
