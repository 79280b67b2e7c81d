import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../errors.js';
import { SystemError } from '../linux/errno.js';
import { O_DIRECTORY, O_PATH, OwnedFd } from '../linux/fd.js';

/**
 * The sysfs directory of one instance of a vbd, `bus/xen-backend/devices/vbd-<domid>-<devid>`. It is
 * pinned: a vbd that is made anew under the same name later is not mistaken for this one, whose
 * attributes are simply gone then.
 */
export class XenBackendDevice implements AsyncDisposable {
  readonly #directory: OwnedFd;

  private constructor(directory: OwnedFd) {
    this.#directory = directory;
  }

  /** Pins the directory of a vbd; `undefined` where the kernel has no such device. */
  static async pin(sysfs: string, name: string): Promise<XenBackendDevice | undefined> {
    const path = join(sysfs, 'bus/xen-backend/devices', name);
    try {
      return new XenBackendDevice(OwnedFd.openSync(path, O_PATH | O_DIRECTORY));
    } catch (error) {
      if (error instanceof SystemError && ['ENOENT', 'ENOTDIR'].includes(error.code)) {
        return undefined;
      }
      throw error;
    }
  }

  /**
   * The device number that blkback has open, `major:minor` in hex; `undefined` while it has none.
   * Linux 6.1 and 6.12, drivers/block/xen-blkback/xenbus.c: `xenvbd_sysfs_addif` makes the attribute
   * only after `xen_vbd_create` opened the device, and on removal it goes before the close.
   */
  async readPhysicalDevice(): Promise<string | undefined> {
    const path = `/proc/self/fd/${this.#directory.fd}/physical_device`;
    // At once, as everything in sysfs; an exception would cost more than this question.
    if (!existsSync(path)) return undefined;
    try {
      return readFileSync(path, 'utf8').trim();
    } catch (error) {
      // ENODEV: sysfs is taking the attribute away while it is being read.
      if (['ENOENT', 'ENODEV'].includes(errorCode(error) ?? '')) return undefined;
      throw SystemError.fromNode('read', `${this.#directory.name}/physical_device`, error);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#directory.close();
  }
}
