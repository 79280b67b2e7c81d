import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Devnum, formatDevnum, parseDevnum } from './devnum.js';

// Read synchronously: sysfs answers from memory within microseconds, a trip through the thread pool
// takes ten times as long, and one question may need hundreds of such answers.

/** How a block device stands on others, as sysfs shows it. */
export interface StackedBlock {
  readonly devnum: Devnum;
  /** The kernel's name of the device node. */
  readonly path: string;
  readonly directory: string;
  /** Of the whole disk. */
  readonly diskseq: bigint | undefined;
  /** Writes to it are refused. */
  readonly readOnly: boolean;
  readonly kind: 'disk' | 'partition' | 'loop' | 'mapper';
  /** For a partition: its disk, and where it lies on it, in bytes. */
  readonly partition:
    | { readonly disk: Devnum; readonly start: bigint; readonly size: bigint }
    | undefined;
  /** Devices that it was made of (device-mapper, md and the like). */
  readonly slaves: readonly Devnum[];
}

const SECTOR = 512n;

/** Looks a device up by its number; `undefined` where the kernel has none. */
export function readStackedBlock(devnum: Devnum): StackedBlock | undefined {
  const link = `/sys/dev/block/${formatDevnum(devnum)}`;
  if (!existsSync(link)) return undefined;
  try {
    return describe(devnum, join(dirname(link), readlinkSync(link)));
  } catch {
    // It went away while it was being read.
    return undefined;
  }
}

function describe(devnum: Devnum, directory: string): StackedBlock {
  const isPartition = existsSync(join(directory, 'partition'));
  const disk = isPartition ? dirname(directory) : directory;
  const has = (name: string): boolean => existsSync(join(directory, name));
  const diskseq = existsSync(join(disk, 'diskseq')) ? read(disk, 'diskseq') : undefined;
  return {
    devnum,
    path: `/dev/${/^DEVNAME=(.+)$/m.exec(read(directory, 'uevent'))?.[1] ?? basename(directory)}`,
    directory,
    diskseq: diskseq === undefined ? undefined : BigInt(diskseq),
    readOnly: read(directory, 'ro') === '1',
    kind: isPartition ? 'partition' : has('loop') ? 'loop' : has('dm') ? 'mapper' : 'disk',
    partition: isPartition
      ? {
          disk: parseDevnum(read(disk, 'dev')) ?? devnum,
          start: BigInt(read(directory, 'start')) * SECTOR,
          size: BigInt(read(directory, 'size')) * SECTOR,
        }
      : undefined,
    slaves: isPartition ? [] : readDevnums(join(directory, 'slaves')),
  };
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

/**
 * Numbers of the loop devices that have a backing file: of all, or only of those that can be written.
 */
export function listBoundLoops(readers: boolean): Devnum[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .map((name) => join('/sys/block', name))
    .filter((directory) => readers || !readFlag(join(directory, 'ro')))
    .filter((directory) => existsSync(join(directory, 'loop')))
    .map(readDevnum)
    .filter((devnum) => devnum !== undefined);
}

/** Whether a file begins with a 1; at a third of what reading all of it costs. */
function readFlag(file: string): boolean {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch {
    return false;
  }
  try {
    const byte = Buffer.alloc(1);
    return readSync(fd, byte, 0, 1, 0) === 1 && byte.toString('latin1') === '1';
  } finally {
    closeSync(fd);
  }
}

function readDevnums(directory: string, wanted = (_: string): boolean => true): Devnum[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter(wanted)
    .map((name) => readDevnum(join(directory, name)))
    .filter((devnum) => devnum !== undefined);
}

function readDevnum(directory: string): Devnum | undefined {
  const file = join(directory, 'dev');
  return existsSync(file) ? parseDevnum(readFileSync(file, 'utf8')) : undefined;
}

function read(directory: string, name: string): string {
  return readFileSync(join(directory, name), 'latin1').trimEnd();
}
