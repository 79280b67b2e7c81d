import { readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Devnum, formatDevnum, parseDevnum } from '../linux/devnum.js';
import { isInMemory, readMemoryLink } from '../linux/memory-file.js';
import { readAttributeText as read, readText } from './attribute-text.js';
import { readWwid } from './wwid.js';

const SECTOR = 512n;
/** Part of the sysfs path of a device without a parent (drivers/base/core.c, get_device_parent). */
const VIRTUAL = '/devices/virtual/';

/** A block device and what it stands on, as sysfs shows it at the moment of asking. */
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
    // There are many loop devices, and their nodes have the same names as in sysfs.
    if (this.kind === 'loop') return `/dev/${basename(this.directory)}`;
    const name = /^DEVNAME=(.+)$/m.exec(read(this.directory, 'uevent'))?.[1];
    return `/dev/${name ?? basename(this.directory)}`;
  }

  /** The diskseq of the whole disk; `undefined` before Linux 5.15. */
  get diskseq(): bigint | undefined {
    return parseDiskseq(read(this.#disk, 'diskseq'));
  }

  /** Whether the kernel refuses writes to the device. */
  get readOnly(): boolean {
    return read(this.directory, 'ro') === '1';
  }

  /** The disk of a partition, and the place of the partition on it, in bytes. */
  get partition():
    | { readonly disk: Devnum; readonly start: bigint; readonly size: bigint }
    | undefined {
    if (this.kind !== 'partition') return undefined;
    const bytes = (name: string): bigint => BigInt(read(this.directory, name)) * SECTOR;
    const disk = parseDevnum(read(this.#disk, 'dev')) ?? this.devnum;
    return { disk, start: bytes('start'), size: bytes('size') };
  }

  /** Whether only a driver is behind the device, and no hardware of its own. */
  get isVirtual(): boolean {
    return this.directory.includes(VIRTUAL);
  }

  /**
   * The name that the disk gives itself, unique in the world; `undefined` where it gives none. One
   * disk has several numbers where several paths lead to it and nobody joins them (multipath). The
   * kernel counts NVMe disks of the network as virtual, and they have a name as well
   * (drivers/nvme/host/fabrics.c, nvmf_init).
   */
  get wwid(): string | undefined {
    if (this.kind !== 'disk') return undefined;
    this.#wwid ??= readWwid(this.directory);
    return this.#wwid || undefined;
  }

  /** The path of a loop device's file. The file may not be found there any more. */
  get backingFile(): string {
    return read(this.directory, 'loop/backing_file');
  }

  /** The devices that it was made of (device-mapper, md and the like). */
  get slaves(): readonly Devnum[] {
    return this.kind === 'partition' ? [] : readDevnums(join(this.directory, 'slaves'));
  }

  get #disk(): string {
    return this.kind === 'partition' ? dirname(this.directory) : this.directory;
  }
}

/** Looks up a device by its number; `undefined` where the kernel has none. */
export function readStackedBlock(devnum: Devnum): StackedBlock | undefined {
  const target = readLink(`/sys/dev/block/${formatDevnum(devnum)}`);
  return target === '' ? undefined : new StackedBlock(devnum, join('/sys/dev/block', target));
}

/**
 * Returns the diskseq of the disk that a device is, or is on; `undefined` where there is none.
 * Costs as little as possible, because it may be asked about every vbd.
 */
export function readPresentDiskseq(devnum: Devnum): bigint | undefined {
  const link = `/sys/dev/block/${formatDevnum(devnum)}`;
  // Not joined here: only the kernel, which follows the link, finds a partition's disk in `..`.
  return parseDiskseq(readText(`${link}/diskseq`) || readText(`${link}/../diskseq`));
}

function parseDiskseq(text: string): bigint | undefined {
  return /^\d+$/.test(text) ? BigInt(text) : undefined;
}

/** Returns the devices that were made of this device. */
export function readHolders({ directory }: StackedBlock): Devnum[] {
  return readDevnums(join(directory, 'holders'));
}

/** Returns the partitions of a whole disk. */
export function readPartitions({ directory }: StackedBlock): Devnum[] {
  const name = basename(directory);
  return readDevnums(directory, (entry) => entry.startsWith(name));
}

/** Lists disks that can stand on others, such as mapper devices and md, but no loop devices. */
export function listStackable(): Devnum[] {
  return readdirSync('/sys/block')
    .filter((name) => isStackablePath(readLink(join('/sys/block', name))))
    .map((name) => readDevnum(join('/sys/block', name)))
    .filter((devnum) => devnum !== undefined);
}

/** Returns whether a path in sysfs belongs to such a disk. Pure. */
export function isStackablePath(path: string): boolean {
  return path.includes(VIRTUAL) && !isLoopPath(path);
}

/** Returns whether a path in sysfs is that of a loop device, not of a partition of one. Pure. */
export function isLoopPath(path: string): boolean {
  return /\/block\/loop\d+$/.test(path);
}

/** Returns whether a device has any bytes. A loop device that is not bound has none. */
export function hasBytes(devnum: Devnum): boolean {
  return !['', '0'].includes(readText(`/sys/dev/block/${formatDevnum(devnum)}/size`));
}

/** Returns whether there is a device with this number. */
export function isPresent(devnum: Devnum): boolean {
  return isInMemory(`/sys/dev/block/${formatDevnum(devnum)}`);
}

/** Returns whether a loop device is bound, or about to be (drivers/block/loop.c, loop_sysfs_init). */
export function isBoundLoop(devnum: Devnum): boolean {
  return isInMemory(`/sys/dev/block/${formatDevnum(devnum)}/loop`);
}

/** Returns whether the kernel refuses writes to a device. The answer comes from memory. */
export function isReadOnly(devnum: Devnum): boolean {
  return readText(`/sys/dev/block/${formatDevnum(devnum)}/ro`) === '1';
}

/** Returns whether a bound loop device clears itself with its last close. Does not ask its file. */
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
