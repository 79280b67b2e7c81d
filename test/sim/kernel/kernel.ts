import type { Devnum } from '../../../src/linux/devnum.js';
import {
  bytesOf,
  type Disk,
  LO_AUTOCLEAR,
  type Node,
  type OpenFile,
  type RegularFile,
  type VbdEntry,
} from './nodes.js';

/** Number of the one file system that all files lie on. */
export const FILES_DEV: Devnum = { major: 8, minor: 16 };
const LOOP_MAJOR = 7;
const GIB = 1n << 30n;

/** A failed call, by its errno. */
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

/** What the kernel has in memory: devices, files, and the entries of sysfs. */
export class Kernel {
  readonly files = new Map<string, RegularFile>();
  readonly disks = new Map<string, Disk>();
  readonly vbds = new Map<string, VbdEntry>();
  /** Told when a device has other bytes than before. */
  onBytes: (disk: Disk) => void = () => {};
  #ino = 1000n;
  #diskseq = 10n;

  nextIno(): bigint {
    return this.#ino++;
  }

  addFile(path: string, size: bigint): RegularFile {
    const file: RegularFile = {
      ...{ kind: 'file', path, ino: this.nextIno(), size, content: '', hung: false },
      ...{ openers: new Set(), locks: [] },
    };
    this.files.set(path, file);
    return file;
  }

  /** A disk of hardware; one that is plugged in again has other bytes under the same number. */
  addDisk(name: string, devnum: Devnum): Disk {
    const diskseq = this.#diskseq++;
    const disk: Disk = {
      ...{ devnum, name, directory: `/sys/devices/pci0/block/${name}`, diskseq, size: GIB },
      ...{ readOnly: false, opens: 0, isClaimed: false, bytes: `disk ${diskseq}`, loop: undefined },
    };
    this.disks.set(name, disk);
    return disk;
  }

  addLoop(number: number): Disk {
    const name = `loop${number}`;
    const disk: Disk = {
      ...{ devnum: { major: LOOP_MAJOR, minor: number }, name },
      ...{ directory: `/sys/devices/virtual/block/${name}`, diskseq: this.#diskseq++, size: 0n },
      ...{ readOnly: false, opens: 0, isClaimed: false, bytes: '' },
      loop: { number, bound: undefined, rundown: false },
    };
    this.disks.set(name, disk);
    return disk;
  }

  findDisk({ major, minor }: Devnum): Disk | undefined {
    for (const disk of this.disks.values()) {
      if (disk.devnum.major === major && disk.devnum.minor === minor) return disk;
    }
    return undefined;
  }

  /** Of LOOP_CTL_GET_FREE. */
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
    this.disks.delete(disk.name);
  }

  /** drivers/block/loop.c, loop_configure. */
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
    this.onBytes(disk);
  }

  /** Of LOOP_CLR_FD: whoever else has it open keeps it until the last close. */
  clearLoop(disk: Disk): void {
    const bound = disk.loop?.bound;
    if (disk.loop === undefined || bound === undefined) throw new Errno(ENXIO);
    if (disk.opens > 1) bound.flags |= LO_AUTOCLEAR;
    else disk.loop.rundown = true;
  }

  openDisk(disk: Disk, isExclusive: boolean): void {
    if (isExclusive && disk.isClaimed) throw new Errno(EBUSY);
    if (isExclusive) disk.isClaimed = true;
    disk.opens++;
  }

  /** drivers/block/loop.c, lo_release. */
  closeDisk(disk: Disk, isExclusive: boolean): void {
    if (isExclusive) disk.isClaimed = false;
    if (--disk.opens > 0 || disk.loop === undefined) return;
    const { bound, rundown } = disk.loop;
    if (bound === undefined || (!rundown && (bound.flags & LO_AUTOCLEAR) === 0)) return;
    disk.loop.bound = undefined;
    disk.loop.rundown = false;
    disk.size = 0n;
    disk.diskseq = this.#diskseq++;
    this.release(bound.file);
  }

  /** A medium that its driver calls new, whatever it is. */
  renumber(disk: Disk): void {
    disk.diskseq = this.#diskseq++;
  }

  open(
    node: Node,
    flags: { isPath: boolean; isWritable: boolean; isExclusive: boolean },
  ): OpenFile {
    let disk: Disk | undefined;
    if (node.kind === 'device-node' && !flags.isPath) {
      disk = this.findDisk(node.devnum);
      if (disk === undefined) throw new Errno(ENXIO);
      this.openDisk(disk, flags.isExclusive);
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
    if (disk !== undefined) this.closeDisk(disk, file.isExclusive);
  }

  /** What a path of a target leads to, for the checks. */
  bytesAt(path: string): string | undefined {
    const file = this.files.get(path);
    if (file !== undefined) return `file ${file.ino}`;
    const disk = this.disks.get(path.slice('/dev/'.length));
    return disk && bytesOf(disk);
  }
}
