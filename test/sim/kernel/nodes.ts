import type { Devnum } from '../../../src/linux/devnum.js';
import type { UeventQueue } from './uevents.js';

/** An object that a path or a descriptor can lead to. */
export type Node =
  | RegularFile
  | DeviceNode
  | CharDevice
  | Directory
  | VbdEntry
  | TextFile
  | UeventSocket;

/** A regular file. */
export interface RegularFile {
  readonly kind: 'file';
  readonly path: string;
  readonly ino: bigint;
  size: bigint;
  /** The text of a file below /run. */
  content: string;
  /** While this is true, the file's server does not answer, and opens of the file do not return. */
  hung: boolean;
  readonly openers: Set<OpenFile>;
  /** Locked bytes (F_OFD_SETLK). */
  readonly locks: { readonly position: bigint; readonly owner: OpenFile; exclusive: boolean }[];
}

/** A node in /dev. It is only a device number, and not a device. */
export interface DeviceNode {
  readonly kind: 'device-node';
  readonly path: string;
  readonly ino: bigint;
  readonly devnum: Devnum;
}

/** A node in /dev that a process has made. */
export interface MadeNode extends DeviceNode {
  readonly owner: object;
}

/** The node of a character device. */
export interface CharDevice {
  readonly kind: 'char';
  readonly path: string;
  readonly ino: bigint;
}

/** A directory. */
export interface Directory {
  readonly kind: 'directory';
  readonly path: string;
  readonly ino: bigint;
}

/** A file of procfs that can be opened. */
export interface TextFile {
  readonly kind: 'text';
  readonly path: string;
  readonly ino: bigint;
  readonly text: string;
}

/** A netlink socket on which the kernel tells of block devices. */
export interface UeventSocket {
  readonly kind: 'socket';
  readonly path: string;
  readonly ino: bigint;
  readonly queue: UeventQueue;
}

/** The directory of one instance of a vbd in sysfs. */
export interface VbdEntry {
  readonly kind: 'vbd';
  readonly name: string;
  readonly ino: bigint;
  isThere: boolean;
  /** The device number, as the attribute shows it. */
  physicalDevice: string | undefined;
  mode: string | undefined;
}

/** An open file description. */
export interface OpenFile {
  readonly node: Node;
  readonly isPath: boolean;
  readonly isWritable: boolean;
  /** The disk that has been opened through a device node. */
  readonly disk: Disk | undefined;
  readonly isExclusive: boolean;
  references: number;
  /** Whether the entries of the directory, or the text of the file, have been read. */
  read: boolean;
}

/** An existing block device. */
export interface Disk {
  readonly devnum: Devnum;
  readonly name: string;
  /** The path of its directory below /sys/devices. */
  readonly directory: string;
  diskseq: bigint;
  size: bigint;
  readOnly: boolean;
  opens: number;
  /** Whoever has claimed the disk exclusively, and how often. Tables share one claimant. */
  claimant: object | undefined;
  claims: number;
  /** A name for the bytes of a hardware disk. Empty for all other devices. */
  readonly bytes: string;
  readonly partition: Partition | undefined;
  readonly loop: LoopState | undefined;
  readonly mapper: MappedDevice | undefined;
}

/** The place of a partition on its disk. */
export interface Partition {
  readonly disk: Disk;
  readonly number: number;
  /** In bytes. */
  readonly start: bigint;
}

/** The state of a loop device. */
export interface LoopState {
  readonly number: number;
  bound: Binding | undefined;
  rundown: boolean;
}

/** The binding of a loop device to a file. */
export interface Binding {
  readonly file: OpenFile;
  readonly path: string;
  readonly offset: bigint;
  readonly sizeLimit: bigint;
  flags: number;
}

export const LO_AUTOCLEAR = 4;

/** A mapper device (drivers/md/dm.c, struct mapped_device). */
export interface MappedDevice {
  readonly devnum: Devnum;
  readonly name: string;
  readonly uuid: string;
  /** The disk, which exists from the first load of a table on. */
  disk: Disk | undefined;
  /** The table in use, and the table that the next resume puts in its place. */
  live: Table | undefined;
  inactive: Table | undefined;
  isSuspended: boolean;
  /** Whether the last close removes the device. */
  isDeferred: boolean;
  /** The devices that its tables have open, each once, and how many tables have each. */
  readonly below: Map<Disk, number>;
  /** The tables that each process has read. */
  readonly seen: Map<object, (Table | undefined)[]>;
}

/** A table of a mapper device, which has one line over the whole device. */
export interface Table {
  /** In sectors. */
  readonly length: bigint;
  readonly type: string;
  readonly params: Buffer;
  readonly lower: Disk;
  readonly readOnly: boolean;
}

/** Returns the mapper devices through which a device accesses its bytes, from the top down. */
export function mappersOf({ mapper }: Disk): MappedDevice[] {
  if (mapper === undefined) return [];
  return [mapper, ...(mapper.live ? mappersOf(mapper.live.lower) : [])];
}

/** Returns a name for the bytes that a device now accesses, or `undefined` if it has none. */
export function bytesOf(disk: Disk): string | undefined {
  const { partition } = disk;
  if (disk.mapper !== undefined) return disk.mapper.live && bytesOf(disk.mapper.live.lower);
  if (partition !== undefined) return `${partition.disk.bytes}, ${partition.start}+${disk.size}`;
  if (disk.loop === undefined) return disk.bytes;
  const file = disk.loop.bound?.file.node;
  return file?.kind === 'file' ? `file ${file.ino}` : undefined;
}

/** Tells whether two names stand for bytes of which some are the same. */
export function haveCommonBytes(a: string, b: string): boolean {
  const [first, second] = [placeOf(a), placeOf(b)];
  const isApart = first.end <= second.start || second.end <= first.start;
  return first.whole === second.whole && !isApart;
}

function placeOf(bytes: string): { whole: string; start: number; end: number } {
  const [whole = '', place] = bytes.split(', ');
  if (place === undefined) return { whole, start: 0, end: Number.POSITIVE_INFINITY };
  const [start = 0, size = 0] = place.split('+').map(Number);
  return { whole, start, end: start + size };
}
