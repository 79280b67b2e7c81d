import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Devnum } from '../linux/devnum.js';
import { SystemError } from '../linux/errno.js';
import { O_DIRECTORY, O_PATH, OwnedFd } from '../linux/fd.js';
import { isInMemory, readMemoryFile } from '../linux/memory-file.js';
import { scanDevnum } from './scan-devnum.js';

/**
 * The path below the root of sysfs that has a directory for each device of a backend driver of this
 * domain.
 */
export const XEN_BACKEND_DEVICES = 'bus/xen-backend/devices';

/**
 * The sysfs directory of one instance of a vbd, `bus/xen-backend/devices/vbd-<domid>-<devid>`. The
 * directory is pinned: a vbd that is made anew under the same name later is not mistaken for this
 * one. The attributes of this instance are simply gone then.
 */
export class VbdDirectory implements AsyncDisposable {
  readonly #directory: OwnedFd;
  readonly #inode: bigint;

  private constructor(directory: OwnedFd) {
    this.#directory = directory;
    this.#inode = directory.inode.ino;
  }

  /** Pins the directory of a vbd. Returns `undefined` where the kernel has no such device. */
  static async pin(sysfs: string, name: string): Promise<VbdDirectory | undefined> {
    const path = join(sysfs, XEN_BACKEND_DEVICES, name);
    // The directory of a detached vbd is usually gone, and the exception would cost more than this
    // check.
    if (!isInMemory(path)) return undefined;
    try {
      return new VbdDirectory(OwnedFd.openSync(path, O_PATH | O_DIRECTORY));
    } catch (error) {
      if (error instanceof SystemError && ['ENOENT', 'ENOTDIR'].includes(error.code)) {
        return undefined;
      }
      throw error;
    }
  }

  /** The path at which the kernel shows the instance that it has now. */
  get path(): string {
    return this.#directory.name;
  }

  /** The descriptor that pins the directory. */
  get fd(): number {
    return this.#directory.fd;
  }

  /**
   * Returns whether the kernel still has this instance. While the directory is pinned, no other
   * directory has its inode number, so another instance under the same name has another number.
   */
  isCurrent(): boolean {
    return this.isInstance(readInstance(this.#directory.name));
  }

  /** Returns whether this is the inode number of the pinned instance. */
  isInstance(inode: bigint | undefined): boolean {
    return inode === this.#inode;
  }

  /**
   * Returns the number of the device that blkback has open; `undefined` while it has none. Linux
   * 6.1 and 6.12, drivers/block/xen-blkback/xenbus.c: `xenvbd_sysfs_addif` makes the attribute only
   * after `xen_vbd_create` has opened the device, and on removal the attribute goes before the
   * device is closed.
   */
  readOpenDevice(): Devnum | undefined {
    const text = readVbdAttribute(`/proc/self/fd/${this.#directory.fd}`, 'physical_device');
    return text === undefined ? undefined : scanDevnum(text);
  }

  /**
   * Returns the mode in which blkback has a device open. It had read the mode from XenStore just
   * before the open. `undefined` while blkback has none open, and for a moment after that.
   */
  readOpenMode(): string | undefined {
    return readVbdAttribute(`/proc/self/fd/${this.#directory.fd}`, 'mode');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#directory.close();
  }
}

/**
 * Returns whether the kernel has another instance of a vbd by now than the pinned one, or one where
 * it had none. One look decides: between two looks, the pinned instance may end.
 */
export function isMadeAnew(sysfs: string, name: string, pinned: VbdDirectory | undefined): boolean {
  const inode = readInstance(join(sysfs, XEN_BACKEND_DEVICES, name));
  return inode !== undefined && pinned?.isInstance(inode) !== true;
}

/**
 * Returns the inode number of the directory of a vbd, which tells the instance from others of the
 * same name; `undefined` where the kernel has none.
 */
export function readInstance(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

/**
 * Reads an attribute of a vbd's directory in sysfs; `undefined` where there is none. Reads it
 * synchronously, as everything in sysfs, which is memory. Throws `SystemError`.
 */
export function readVbdAttribute(directory: string, name: string): string | undefined {
  return readMemoryFile(`${directory}/${name}`)?.trimEnd() || undefined;
}
