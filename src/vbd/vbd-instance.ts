import type { VbdBackend } from './vbd-backend.js';
import { VbdDirectory } from './vbd-directory.js';
import { VbdError } from './vbd-error.js';
import type { VbdPath } from './vbd-path.js';

/**
 * One instance of a vbd: its pinned directory in sysfs, and its nodes as they were seen. A backend
 * path alone is no identity: a toolstack can make a vbd anew under the same path with the same
 * values, in one transaction. The result is another vbd.
 */
export class VbdInstance implements AsyncDisposable {
  readonly vbd: VbdPath;
  readonly directory: VbdDirectory;
  readonly backend: VbdBackend;

  private constructor(vbd: VbdPath, directory: VbdDirectory, backend: VbdBackend) {
    this.vbd = vbd;
    this.directory = directory;
    this.backend = backend;
  }

  /**
   * Pins the instance that the kernel has now. A device for the instance must be opened after this
   * call. Throws `ESYSFS` where the kernel shows no instance.
   *
   * @param sysfs the root of sysfs.
   */
  static async pin(sysfs: string, vbd: VbdPath, backend: VbdBackend): Promise<VbdInstance> {
    const directory = await VbdDirectory.pin(sysfs, vbd.sysfsName);
    if (directory !== undefined) return new VbdInstance(vbd, directory, backend);
    throw new VbdError(
      `${sysfs}/bus/xen-backend/devices has no ${vbd.sysfsName}, which tells what blkback has open for ${vbd.backend}: sysfs has to be mounted there, and this has to be the backend domain, with xen-blkback loaded`,
      { code: 'ESYSFS' },
    );
  }

  /**
   * Whether blkback says in an `opened` node when it has opened the device. This is known from
   * state 2 on.
   */
  get keepsOpenedNode(): boolean {
    return this.backend.bytes('opened') !== undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.directory[Symbol.asyncDispose]();
  }
}
