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

/** A vbd that a driver has taken up. Another binding of the same vbd is another object. */
interface Binding {
  readonly name: string;
}

/** A vbd as it was read, with the binding that it had before. */
interface Instance {
  readonly vbd: OpenVbd;
  readonly binding: Binding | undefined;
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
 * After that, a look at the names and inode numbers in two directories is enough: a vbd keeps its own
 * directory when its driver is unbound and bound again, by hand or with the driver's module, and the
 * driver opens anew. The link in the driver's directory is then another one (drivers/base/dd.c,
 * driver_sysfs_add).
 */
export class OpenVbds {
  readonly #directory: string;
  readonly #bus: string;
  readonly #instances: KnownDirectory<Instance>;
  readonly #bindings: KnownDirectory<Binding>;
  readonly #driver: string;
  /** The vbds that had a driver at the last look, by their names. */
  #bound: ReadonlyMap<string, Binding> = new Map();
  /** Whether any vbd has been bound or unbound since all instances were compared with `#bound`. */
  #isStale = false;

  /** @param sysfs the root of sysfs. */
  constructor(sysfs: string) {
    this.#directory = join(sysfs, XEN_BACKEND_DEVICES);
    this.#bus = join(sysfs, 'bus');
    this.#driver = join(this.#bus, 'xen-backend/drivers/vbd');
    this.#instances = new KnownDirectory(this.#directory);
    this.#bindings = new KnownDirectory(this.#driver);
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
      // The bindings are listed first: what is read of a vbd after that may only be newer.
      this.#refreshBindings();
      const instances = this.#instances.list(
        (name) => this.#read(name, idle),
        ({ vbd: { vbd }, binding }) => !this.#isStale || this.#bound.get(vbd.sysfsName) === binding,
      );
      this.#isStale = false;
      return { open: instances.map(({ vbd }) => vbd), idle };
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

  /** Looks which vbds have a driver. */
  #refreshBindings(): void {
    const all = this.#listBindings((name) => {
      this.#isStale = true;
      return { value: { name }, lasting: true };
    });
    if (all.length !== this.#bound.size) this.#isStale = true;
    if (this.#isStale) this.#bound = new Map(all.map((binding) => [binding.name, binding]));
  }

  /** Lists the vbds that the driver has taken up; none where its module is not loaded. */
  #listBindings(read: (name: string) => EntryValue<Binding>): Binding[] {
    if (!isInMemory(this.#driver)) return [];
    try {
      return this.#bindings.list(read);
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  }

  /** Reads one vbd, and adds it to `idle` if blkback has nothing open for it. */
  #read(name: string, idle: VbdPath[]): EntryValue<Instance> | undefined {
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
    const open = { ...device, open: true, diskseq: undefined, pending: false } as const;
    // A vbd that has no driver any more may be about to lose its device.
    const binding = this.#bound.get(name);
    const lasting = mode !== undefined && binding !== undefined;
    return { value: { vbd: open, binding }, lasting };
  }
}
