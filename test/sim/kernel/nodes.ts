import type { Devnum } from '../../../src/linux/devnum.js';

/** What a path or a descriptor can lead to. */
export type Node = RegularFile | DeviceNode | CharDevice | Directory | VbdEntry;

export interface RegularFile {
  readonly kind: 'file';
  readonly path: string;
  readonly ino: bigint;
  size: bigint;
  /** Of files below /run. */
  content: string;
  /** Its server does not answer: opens of it never come back while that is so. */
  hung: boolean;
  readonly openers: Set<OpenFile>;
  /** Locked bytes (F_OFD_SETLK). */
  readonly locks: { readonly position: bigint; readonly owner: OpenFile; exclusive: boolean }[];
}

/** A node in /dev: a number, and not a device. */
export interface DeviceNode {
  readonly kind: 'device-node';
  readonly path: string;
  readonly ino: bigint;
  readonly devnum: Devnum;
}

export interface CharDevice {
  readonly kind: 'char';
  readonly path: string;
  readonly ino: bigint;
}

export interface Directory {
  readonly kind: 'directory';
  readonly path: string;
  readonly ino: bigint;
}

/** The directory of a vbd in sysfs: one instance. */
export interface VbdEntry {
  readonly kind: 'vbd';
  readonly name: string;
  readonly ino: bigint;
  isThere: boolean;
  /** As the attribute shows it. */
  physicalDevice: string | undefined;
  mode: string | undefined;
}

/** An open file description. */
export interface OpenFile {
  readonly node: Node;
  readonly isPath: boolean;
  readonly isWritable: boolean;
  /** Of a device: which one has been opened. */
  readonly disk: Disk | undefined;
  readonly isExclusive: boolean;
  references: number;
  /** Entries of a directory that have been read. */
  read: boolean;
}

/** A block device that there is. */
export interface Disk {
  readonly devnum: Devnum;
  readonly name: string;
  /** In /sys/devices. */
  readonly directory: string;
  diskseq: bigint;
  size: bigint;
  readOnly: boolean;
  opens: number;
  isClaimed: boolean;
  /** Whose bytes it has, of a disk of its own. */
  readonly bytes: string;
  readonly loop: LoopState | undefined;
}

export interface LoopState {
  readonly number: number;
  bound: Binding | undefined;
  rundown: boolean;
}

export interface Binding {
  readonly file: OpenFile;
  readonly path: string;
  readonly offset: bigint;
  readonly sizeLimit: bigint;
  flags: number;
}

export const LO_AUTOCLEAR = 4;

/** What bytes are read and written through a device by now; `undefined` for none. */
export function bytesOf(disk: Disk): string | undefined {
  if (disk.loop === undefined) return disk.bytes;
  const file = disk.loop.bound?.file.node;
  return file?.kind === 'file' ? `file ${file.ino}` : undefined;
}
