import type { Devnum } from '../../../src/linux/devnum.js';
import type { DeviceMapper } from './device-mapper.js';
import {
  bytesOf,
  type Disk,
  LO_AUTOCLEAR,
  type MadeNode,
  type Node,
  type OpenFile,
  type RegularFile,
  type VbdEntry,
} from './nodes.js';
import type { Uevents } from './uevents.js';

/** The device number of the file system that contains all files. */
export const FILES_DEV: Devnum = { major: 8, minor: 16 };
/** The sequence number of the first disk. */
export const FIRST_DISKSEQ = 10n;
const LOOP_MAJOR = 7;
const GIB = 1n << 30n;
const UNUSED = {
  ...{ readOnly: false, opens: 0, claimant: undefined, claims: 0 },
  ...{ mapper: undefined, partition: undefined },
};

/** The error of a failed call. */
export class Errno extends Error {
  readonly errno: number;

  constructor(errno: number) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

export const [ENOENT, EIO, ENXIO, EBADF, EAGAIN, EBUSY, ENODEV, EINVAL, ENOTTY] = [
  ...[2, 5, 6, 9, 11, 16, 19, 22, 25],
] as const;

/** A simulated kernel: its devices, its files, and the entries of sysfs. */
export class Kernel {
  readonly files = new Map<string, RegularFile>();
  readonly disks = new Map<string, Disk>();
  readonly vbds = new Map<string, VbdEntry>();
  /** The nodes that processes have made with mknod(2). */
  readonly madeNodes = new Map<string, MadeNode>();
  /** Whether /dev has a node for each loop device, as a devtmpfs has. */
  hasLoopNodes = true;
  /** Whether the open of a node makes its loop device (CONFIG_BLOCK_LEGACY_AUTOLOAD). */
  makesLoopsAtOpen = false;
  /** Whether processes can see each other, as in /proc. A walk through it takes its time. */
  showsProcesses = false;
  /** `undefined` if the module is not loaded. */
  mapper: DeviceMapper | undefined;
  /** `undefined` if the network namespace of the processes hears nothing of block devices. */
  uevents: Uevents | undefined;
  /** Called when a device has other bytes than before. */
  onBytes: (disk: Disk) => void = () => {};
  /** Called when a device has come, or is bound. */
  onChange: (disk: Disk) => void = () => {};
  #ino = 1000n;
  #diskseq = FIRST_DISKSEQ;
  #pid = 100;

  nextIno(): bigint {
    return this.#ino++;
  }

  nextPid(): number {
    return this.#pid++;
  }

  nextDiskseq(): bigint {
    return this.#diskseq++;
  }

  addFile(path: string, size: bigint): RegularFile {
    const file: RegularFile = {
      ...{ kind: 'file', path, ino: this.nextIno(), size, content: '', hung: false },
      ...{ openers: new Set(), locks: [] },
    };
    this.files.set(path, file);
    return file;
  }

  /** Adds a hardware disk. Each added disk has other bytes, even under the same number. */
  addDisk(name: string, devnum: Devnum): Disk {
    const diskseq = this.#diskseq++;
    const disk: Disk = {
      ...{ devnum, name, directory: `/sys/devices/pci0/block/${name}`, diskseq, size: GIB },
      ...UNUSED,
      ...{ bytes: `disk ${diskseq}`, loop: undefined },
    };
    this.addToSysfs(disk);
    return disk;
  }

  /** Shows a disk or a partition in sysfs, and tells of it (block/genhd.c, device_add_disk). */
  addToSysfs(disk: Disk): void {
    this.disks.set(disk.name, disk);
    this.uevents?.tell('add', disk);
    this.onChange(disk);
  }

  /** Takes a disk or a partition out of sysfs (del_gendisk). */
  removeFromSysfs(disk: Disk): void {
    this.disks.delete(disk.name);
    this.uevents?.tell('remove', disk);
  }

  /** Adds a partition of a disk. Its sequence number is that of the disk. */
  addPartition(disk: Disk, number: number, { start, size }: { start: bigint; size: bigint }): void {
    const { major, minor } = disk.devnum;
    const name = `${disk.name}${number}`;
    this.addToSysfs({
      ...{ devnum: { major, minor: minor + number }, name, directory: `${disk.directory}/${name}` },
      ...{ size, ...UNUSED, bytes: '', loop: undefined, partition: { disk, number, start } },
      get diskseq(): bigint {
        return disk.diskseq;
      },
    });
  }

  partitionsOf(disk: Disk): Disk[] {
    return [...this.disks.values()].filter(({ partition }) => partition?.disk === disk);
  }

  addLoop(number: number): Disk {
    const name = `loop${number}`;
    const disk: Disk = {
      ...{ devnum: { major: LOOP_MAJOR, minor: number }, name },
      ...{ directory: `/sys/devices/virtual/block/${name}`, diskseq: this.#diskseq++, size: 0n },
      ...UNUSED,
      bytes: '',
      loop: { number, bound: undefined, rundown: false },
    };
    this.addToSysfs(disk);
    return disk;
  }

  findDisk({ major, minor }: Devnum): Disk | undefined {
    for (const disk of this.disks.values()) {
      if (disk.devnum.major === major && disk.devnum.minor === minor) return disk;
    }
    return undefined;
  }

  /** Does the work of LOOP_CTL_GET_FREE. */
  freeLoop(): number {
    for (let number = 0; ; number++) {
      const disk = this.disks.get(`loop${number}`);
      if (disk === undefined) return this.addLoop(number).loop?.number ?? 0;
      if (disk.loop?.bound === undefined) return number;
    }
  }

  removeLoop(number: number): void {
    const disk = this.disks.get(`loop${number}`);
    if (disk === undefined) throw new Errno(ENODEV);
    if (disk.opens > 0 || disk.loop?.bound !== undefined) throw new Errno(EBUSY);
    this.removeFromSysfs(disk);
  }

  /** Does the work of loop_configure (drivers/block/loop.c, Linux 6.18). */
  bindLoop(
    disk: Disk,
    file: OpenFile,
    config: { offset: bigint; sizeLimit: bigint; flags: number },
  ): void {
    if (disk.loop === undefined || file.node.kind !== 'file') throw new Errno(EINVAL);
    if (disk.loop.bound !== undefined) throw new Errno(EBUSY);
    if (file.isPath) throw new Errno(EBADF);
    file.references++;
    disk.loop.bound = { ...config, file, path: file.node.path };
    disk.loop.rundown = false;
    disk.readOnly = !file.isWritable || (config.flags & 1) !== 0;
    disk.size = config.sizeLimit || file.node.size - config.offset;
    disk.diskseq = this.#diskseq++;
    this.uevents?.tell('change', disk);
    this.onBytes(disk);
    this.onChange(disk);
  }

  /**
   * Does the work of LOOP_CLR_FD. If others have the device open, it stays until the last close.
   */
  clearLoop(disk: Disk): void {
    const bound = disk.loop?.bound;
    if (disk.loop === undefined || bound === undefined) throw new Errno(ENXIO);
    if (disk.opens > 1) bound.flags |= LO_AUTOCLEAR;
    else disk.loop.rundown = true;
  }

  openDisk(disk: Disk, claimant?: object): void {
    if (claimant !== undefined) {
      if (!this.#mayClaim(disk, claimant)) throw new Errno(EBUSY);
      disk.claimant = claimant;
      disk.claims++;
    }
    disk.opens++;
  }

  /**
   * Does the work of bd_may_claim (block/bdev.c). Nobody can claim a disk and one of its partitions
   * at the same time, not even the same claimant.
   */
  #mayClaim(disk: Disk, claimant: object): boolean {
    if ((disk.claimant ?? claimant) !== claimant) return false;
    const { partition } = disk;
    if (partition !== undefined) return partition.disk.claimant === undefined;
    return disk.loop !== undefined || this.partitionsOf(disk).every(({ claims }) => claims === 0);
  }

  /** Closes a disk. For a loop device, does the work of lo_release (drivers/block/loop.c). */
  closeDisk(disk: Disk, isExclusive: boolean): void {
    if (isExclusive && --disk.claims === 0) disk.claimant = undefined;
    if (--disk.opens > 0) return;
    if (disk.mapper !== undefined) this.mapper?.onLastClose(disk.mapper);
    if (disk.loop === undefined) return;
    const { bound, rundown } = disk.loop;
    if (bound === undefined || (!rundown && (bound.flags & LO_AUTOCLEAR) === 0)) return;
    disk.loop.bound = undefined;
    disk.loop.rundown = false;
    disk.size = 0n;
    disk.diskseq = this.#diskseq++;
    this.uevents?.tell('change', disk);
    this.release(bound.file);
  }

  /** Gives a disk a new diskseq, as a driver does that reports a new medium. */
  renumber(disk: Disk): void {
    disk.diskseq = this.#diskseq++;
    this.uevents?.tell('change', disk);
  }

  open(
    node: Node,
    flags: { isPath: boolean; isWritable: boolean; isExclusive: boolean },
  ): OpenFile {
    let disk: Disk | undefined;
    if (node.kind === 'device-node' && !flags.isPath) {
      const { major, minor } = node.devnum;
      disk = this.findDisk(node.devnum);
      if (this.makesLoopsAtOpen && major === LOOP_MAJOR) disk ??= this.addLoop(minor);
      if (disk === undefined) throw new Errno(ENXIO);
      this.openDisk(disk, flags.isExclusive ? {} : undefined);
    }
    const file: OpenFile = { node, ...flags, disk, references: 1, read: false };
    if (node.kind === 'file' && !flags.isPath) node.openers.add(file);
    return file;
  }

  release(file: OpenFile): void {
    if (--file.references > 0) return;
    const { node, disk } = file;
    if (node.kind === 'file') {
      node.openers.delete(file);
      const left = node.locks.filter(({ owner }) => owner !== file);
      node.locks.splice(0, node.locks.length, ...left);
    }
    if (node.kind === 'socket') this.uevents?.close(node.queue);
    if (disk !== undefined) this.closeDisk(disk, file.isExclusive);
  }

  /** Returns a name for the bytes that a path of a target leads to, for the checks. */
  bytesAt(path: string): string | undefined {
    const file = this.files.get(path);
    if (file !== undefined) return `file ${file.ino}`;
    const [, name] = /^\/dev\/mapper\/(.+)$/.exec(path) ?? [];
    const disk = name
      ? this.mapper?.find({ name })?.disk
      : this.disks.get(path.slice('/dev/'.length));
    return disk && bytesOf(disk);
  }
}
