import { join } from 'node:path';
import { errorMessage } from '../errors.js';
import type { Devnum } from '../linux/devnum.js';
import { type EntryValue, KnownDirectory } from '../linux/directory.js';
import { isSystemError } from '../linux/errno.js';
import { isInMemory } from '../linux/memory-file.js';
import { scanDevnum } from './scan-devnum.js';
import { readInstance, readVbdAttribute, XEN_BACKEND_DEVICES } from './vbd-directory.js';
import { VbdError } from './vbd-error.js';
import { type VbdPath, vbdPath } from './vbd-path.js';

/** A vbd for which xen-blkback has a device open, whatever XenStore says about the vbd. */
export interface OpenVbd {
  readonly vbd: VbdPath;
  readonly devnum: Devnum;
  /**
   * Whether blkback has opened the device for writing. blkback does so when `mode` contains a `w`.
   */
  readonly writable: boolean;
  /** Tells this vbd from one that has only published a device (`VbdUse`). */
  readonly open: true;
  readonly diskseq: undefined;
  readonly pending: false;
}

/** What the kernel tells of all vbds at one moment. */
export interface KernelVbds {
  readonly open: readonly OpenVbd[];
  /** The vbds for which blkback has no device open: not yet, or no longer. */
  readonly idle: readonly VbdPath[];
}

/**
 * The vbds for which blkback has devices open, as the kernel tells in sysfs. Toolstacks delete the
 * nodes of a vbd while its device is still open. Therefore sysfs, and not XenStore, decides who
 * uses a device.
 *
 * blkback opens a device once for each instance, and keeps it until the instance is gone
 * (drivers/block/xen-blkback/xenbus.c of Linux 6.1 and 6.12). Each instance is therefore read once.
 * After that, a look at the names and inode numbers in the directory is enough. Where the driver's
 * module is loaded again, the vbds keep their directories, and the new driver opens anew.
 */
export class OpenVbds {
  readonly #directory: string;
  readonly #bus: string;
  #instances: KnownDirectory<OpenVbd>;
  /** The inode number of the driver's directory when the instances were read. */
  #driver: bigint | undefined;

  /** @param sysfs the root of sysfs. */
  constructor(sysfs: string) {
    this.#directory = join(sysfs, XEN_BACKEND_DEVICES);
    this.#bus = join(sysfs, 'bus');
    this.#instances = new KnownDirectory(this.#directory);
  }

  /**
   * Lists all open vbds at this moment. Throws `ESYSFS` where sysfs does not tell, because that
   * does not mean that no vbd is open.
   */
  list(): readonly OpenVbd[] {
    return this.listAll().open;
  }

  /** Lists all vbds at this moment, open or not. Throws `ESYSFS` as `list` does. */
  listAll(): KernelVbds {
    const idle: VbdPath[] = [];
    try {
      const driver = readInstance(join(this.#bus, 'xen-backend/drivers/vbd'));
      if (driver !== this.#driver) this.#instances = new KnownDirectory(this.#directory);
      this.#driver = driver;
      return { open: this.#instances.list((name) => this.#read(name, idle)), idle };
    } catch (error) {
      // A kernel without xen-backend devices still has a bus directory, and then no vbd is served.
      const absent = isSystemError(error, 'ENOENT') && isInMemory(this.#bus);
      if (absent && !isInMemory(this.#directory)) return { open: [], idle: [] };
      throw new VbdError(
        `${this.#directory} cannot be read, so that nobody knows which devices guests use (${errorMessage(error)}): sysfs has to be mounted there`,
        { code: 'ESYSFS', cause: error },
      );
    }
  }

  /**
   * Returns whether the kernel has the vbd, and no driver has taken it up. The kernel makes each vbd
   * whether or not blkback is loaded (drivers/base/dd.c, driver_sysfs_add). A vbd that is gone has
   * no driver either, and may have had a device a moment ago.
   */
  isWithoutDriver({ sysfsName }: VbdPath): boolean {
    const vbd = join(this.#directory, sysfsName);
    return !isInMemory(join(vbd, 'driver')) && isInMemory(vbd);
  }

  /**
   * Returns a number that tells the instance of a vbd from the others of that name; `undefined`
   * where the kernel has none.
   */
  instanceOf({ sysfsName }: VbdPath): bigint | undefined {
    return readInstance(join(this.#directory, sysfsName));
  }

  /** Reads one vbd, and adds it to `idle` if blkback has nothing open for it. */
  #read(name: string, idle: VbdPath[]): EntryValue<OpenVbd> | undefined {
    const [, domid, devid] = /^vbd-(\d{1,5})-(\d{1,10})$/.exec(name) ?? [];
    if (domid === undefined || devid === undefined) return undefined;
    const directory = join(this.#directory, name);
    const text = readVbdAttribute(directory, 'physical_device');
    const devnum = text === undefined ? undefined : scanDevnum(text);
    // blkback has not opened the device yet, or has closed it. The next call reads it again.
    const vbd = vbdPath(Number(domid), Number(devid));
    if (devnum === undefined) {
      idle.push(vbd);
      return undefined;
    }
    // `mode` appears a moment after `physical_device`. Until then writing, the worse case, is
    // assumed.
    const mode = readVbdAttribute(directory, 'mode');
    const writable = mode?.includes('w') ?? true;
    const device = { vbd, devnum, writable } as const;
    const value = { ...device, open: true, diskseq: undefined, pending: false } as const;
    return { value, lasting: mode !== undefined };
  }
}
