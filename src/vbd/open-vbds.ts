import { join } from 'node:path';
import { errorMessage } from '../errors.js';
import type { Devnum } from '../linux/devnum.js';
import { type EntryValue, KnownDirectory } from '../linux/directory.js';
import { isSystemError } from '../linux/errno.js';
import { isInMemory } from '../linux/memory-file.js';
import { scanDevnum } from './scan-devnum.js';
import { readVbdAttribute, XEN_BACKEND_DEVICES } from './vbd-directory.js';
import { VbdError } from './vbd-error.js';
import { type VbdPath, vbdPath } from './vbd-path.js';

/** A vbd for which xen-blkback has a device open, whatever XenStore says of it. */
export interface OpenVbd {
  readonly vbd: VbdPath;
  readonly devnum: Devnum;
  /** Whether blkback has opened it for writing: it does when there is a `w` in `mode`. */
  readonly writable: boolean;
  /** What tells it from a vbd that has published a device only (`VbdUse`). */
  readonly open: true;
  readonly diskseq: undefined;
}

/**
 * What blkback has open for the guests of this domain, as the kernel tells it in sysfs. Toolstacks
 * delete the nodes of a vbd while its device is still open, and so this and not XenStore is what
 * decides who uses a device.
 *
 * blkback opens a device once for each instance, and keeps it until the instance is gone (drivers/block/
 * xen-blkback/xenbus.c of Linux 6.1 and 6.12), so that each instance is read once; after that a look at
 * the names and inode numbers of the directory is enough.
 */
export class OpenVbds {
  readonly #directory: string;
  readonly #bus: string;
  readonly #instances: KnownDirectory<OpenVbd>;

  /** @param sysfs root of sysfs. */
  constructor(sysfs: string) {
    this.#directory = join(sysfs, XEN_BACKEND_DEVICES);
    this.#bus = join(sysfs, 'bus');
    this.#instances = new KnownDirectory(this.#directory);
  }

  /** All of them at this moment. Throws `ESYSFS` where sysfs does not tell: that is not "nobody". */
  async list(): Promise<readonly OpenVbd[]> {
    try {
      return await this.#instances.list((name) => this.#read(name));
    } catch (error) {
      // A kernel without xen-backend devices has a bus directory all the same, and no vbd is served.
      const absent = isSystemError(error, 'ENOENT') && isInMemory(this.#bus);
      if (absent && !isInMemory(this.#directory)) return [];
      throw new VbdError(
        `${this.#directory} cannot be read, so that nobody knows which devices guests use (${errorMessage(error)}): sysfs has to be mounted there`,
        { code: 'ESYSFS', cause: error },
      );
    }
  }

  #read(name: string): EntryValue<OpenVbd> | undefined {
    const [, domid, devid] = /^vbd-(\d{1,5})-(\d{1,10})$/.exec(name) ?? [];
    if (domid === undefined || devid === undefined) return undefined;
    const directory = join(this.#directory, name);
    const text = readVbdAttribute(directory, 'physical_device');
    const devnum = text === undefined ? undefined : scanDevnum(text);
    // Not open yet, or not any more: it is read again the next time.
    if (devnum === undefined) return undefined;
    // `mode` comes a moment after `physical_device`: until then the worse of the two is assumed.
    const mode = readVbdAttribute(directory, 'mode');
    const writable = mode?.includes('w') ?? true;
    const vbd = vbdPath(Number(domid), Number(devid));
    const value = { vbd, devnum, writable, open: true, diskseq: undefined } as const;
    return { value, lasting: mode !== undefined };
  }
}
