import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Devnum, devnumKey, formatDevnum, parseDevnum } from '../linux/devnum.js';
import { SystemError } from '../linux/errno.js';
import { isInMemory, readMemoryFile, readMemoryLink } from '../linux/memory-file.js';
import { ERRNO } from '../util/errno.js';
import { readAttributeText as read, readText } from './attribute-text.js';
import { readWwid } from './wwid.js';

const SECTOR = 512n;
/** Part of the path of a device in sysfs that has no parent (drivers/base/core.c, get_device_parent). */
const VIRTUAL = '/devices/virtual/';

/** How a block device stands on others, as sysfs shows it at the moment in which it is asked. */
export class StackedBlock {
  readonly devnum: Devnum;
  readonly directory: string;
  readonly kind: 'disk' | 'partition' | 'loop' | 'mapper';
  #wwid: string | undefined;

  constructor(devnum: Devnum, directory: string) {
    this.devnum = devnum;
    this.directory = directory;
    const has = (name: string): boolean => isInMemory(`${directory}/${name}`);
    if (has('loop')) this.kind = 'loop';
    else if (has('partition')) this.kind = 'partition';
    else this.kind = has('dm') ? 'mapper' : 'disk';
  }

  /** The kernel's name of the device node. */
  get path(): string {
    // Loop devices are many, and their nodes have the names that they have in sysfs.
    if (this.kind === 'loop') return `/dev/${basename(this.directory)}`;
    const name = /^DEVNAME=(.+)$/m.exec(read(this.directory, 'uevent'))?.[1];
    return `/dev/${name ?? basename(this.directory)}`;
  }

  /** Of the whole disk; `undefined` before Linux 5.15. */
  get diskseq(): bigint | undefined {
    return parseDiskseq(read(this.#disk, 'diskseq'));
  }

  /** Writes to it are refused. */
  get readOnly(): boolean {
    return read(this.directory, 'ro') === '1';
  }

  /** For a partition: its disk, and where it lies on it, in bytes. */
  get partition():
    | { readonly disk: Devnum; readonly start: bigint; readonly size: bigint }
    | undefined {
    if (this.kind !== 'partition') return undefined;
    const bytes = (name: string): bigint => BigInt(read(this.directory, name)) * SECTOR;
    const disk = parseDevnum(read(this.#disk, 'dev')) ?? this.devnum;
    return { disk, start: bytes('start'), size: bytes('size') };
  }

  /** No hardware of its own is behind it, but a driver. */
  get isVirtual(): boolean {
    return this.directory.includes(VIRTUAL);
  }

  /**
   * What the disk calls itself, in the whole world; `undefined` where it does not say. One disk shows
   * under several numbers where it can be reached by several ways and nobody joins them (multipath).
   */
  get wwid(): string | undefined {
    if (this.kind !== 'disk' || this.isVirtual) return undefined;
    this.#wwid ??= readWwid(this.directory);
    return this.#wwid || undefined;
  }

  /** Of a loop device: the path of its file, by which it may not be found any more. */
  get backingFile(): string {
    return read(this.directory, 'loop/backing_file');
  }

  /** Devices that it was made of (device-mapper, md and the like). */
  get slaves(): readonly Devnum[] {
    return this.kind === 'partition' ? [] : readDevnums(join(this.directory, 'slaves'));
  }

  get #disk(): string {
    return this.kind === 'partition' ? dirname(this.directory) : this.directory;
  }
}

/** Looks a device up by its number; `undefined` where the kernel has none. */
export function readStackedBlock(devnum: Devnum): StackedBlock | undefined {
  const target = readLink(`/sys/dev/block/${formatDevnum(devnum)}`);
  return target === '' ? undefined : new StackedBlock(devnum, join('/sys/dev/block', target));
}

/**
 * The sequence number of the disk that a device is, or is on; `undefined` where there is none. The
 * cheapest of questions, as it may be asked about every vbd there is.
 */
export function readPresentDiskseq(devnum: Devnum): bigint | undefined {
  const link = `/sys/dev/block/${formatDevnum(devnum)}`;
  // Not joined: what lies above a partition is its disk only to the kernel, which follows the link.
  return parseDiskseq(readText(`${link}/diskseq`) || readText(`${link}/../diskseq`));
}

function parseDiskseq(text: string): bigint | undefined {
  return /^\d+$/.test(text) ? BigInt(text) : undefined;
}

/** Devices that were made of this one. */
export function readHolders({ directory }: StackedBlock): Devnum[] {
  return readDevnums(join(directory, 'holders'));
}

/** The partitions of a whole disk. */
export function readPartitions({ directory }: StackedBlock): Devnum[] {
  const name = basename(directory);
  return readDevnums(directory, (entry) => entry.startsWith(name));
}

/** Whole disks that can stand on others, such as mapper devices and md, but for loop devices. */
export function listStackable(): Devnum[] {
  return readdirSync('/sys/block')
    .filter((name) => isStackablePath(readLink(join('/sys/block', name))))
    .map((name) => readDevnum(join('/sys/block', name)))
    .filter((devnum) => devnum !== undefined);
}

/** Whether a disk of this path in sysfs is one of those. Pure. */
export function isStackablePath(path: string): boolean {
  return path.includes(VIRTUAL) && !isLoopPath(path);
}

/** Whether a path in sysfs is that of a loop device, and not of a partition of one. Pure. */
export function isLoopPath(path: string): boolean {
  return /\/block\/loop\d+$/.test(path);
}

/** Whether a device has any; a loop device that is not bound has none. */
export function hasBytes(devnum: Devnum): boolean {
  return !['', '0'].includes(readText(`/sys/dev/block/${formatDevnum(devnum)}/size`));
}

/** Whether there is a device of this number. */
export function isPresent(devnum: Devnum): boolean {
  return isInMemory(`/sys/dev/block/${formatDevnum(devnum)}`);
}

/** Whether a loop device stands on something, or is about to (drivers/block/loop.c, loop_sysfs_init). */
export function isBoundLoop(devnum: Devnum): boolean {
  return isInMemory(`/sys/dev/block/${formatDevnum(devnum)}/loop`);
}

/** Whether writes to a device are refused; memory answers. */
export function isReadOnly(devnum: Devnum): boolean {
  return readText(`/sys/dev/block/${formatDevnum(devnum)}/ro`) === '1';
}

/**
 * Numbers of the loop devices that have bytes: of all, or only of those that can be written.
 */
export function listBoundLoops(readers: boolean): Devnum[] {
  const loops = [...parseLoops(readPartitionList())].map(([, devnum]) => devnum);
  return readers ? loops : loops.filter((devnum) => !isReadOnly(devnum));
}

/** The block devices that have bytes, a line each, in one read (block/genhd.c, show_partition).
 * Throws `SystemError`. */
export function readPartitionList(): string {
  const path = '/proc/partitions';
  const text = readMemoryFile(path);
  if (text === undefined) throw SystemError.fromErrno('read', path, ERRNO.ENOENT);
  return text;
}

/** The loop devices among them, by their keys. Pure. */
export function parseLoops(partitions: string): Map<number, Devnum> {
  const loops = new Map<number, Devnum>();
  for (const [, major, minor] of partitions.matchAll(/^ *(\d+) +(\d+) +\d+ loop\d+$/gm)) {
    const devnum = { major: Number(major), minor: Number(minor) };
    loops.set(devnumKey(devnum), devnum);
  }
  return loops;
}

/** Whether a bound loop device clears itself with its last close; memory answers, not its file. */
export function isAutoclearLoop(devnum: Devnum): boolean {
  return readText(`/sys/dev/block/${formatDevnum(devnum)}/loop/autoclear`) === '1';
}

function readLink(path: string): string {
  return readMemoryLink(path) ?? '';
}

function readDevnums(directory: string, wanted = (_: string): boolean => true): Devnum[] {
  if (!isInMemory(directory)) return [];
  return readdirSync(directory)
    .filter(wanted)
    .map((name) => readDevnum(join(directory, name)))
    .filter((devnum) => devnum !== undefined);
}

function readDevnum(directory: string): Devnum | undefined {
  return parseDevnum(read(directory, 'dev'));
}
