import { type Devnum, formatDevnumHex } from '../linux/devnum.js';
import { quote } from '../util/one-line.js';
import { pollEagerly, pollPatiently } from '../util/poll.js';
import { waitFor } from '../xenstore/wait-for.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { XenBackendDevice } from './sysfs-directory.js';
import { readVbdBackend, type VbdBackend, XenbusState } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import type { VbdPath } from './vbd-path.js';

/** How it is known that blkback has opened the device. */
export type OpenedBy = 'key' | 'sysfs';

/**
 * Tells when blkback has the device of one vbd open. It is made before the device is published, so
 * that it speaks of the very blkback instance that is going to read the publication.
 */
export class OpenedWatch implements AsyncDisposable {
  readonly #store: Xenstore;
  readonly #vbd: VbdPath;
  readonly #kernel: XenBackendDevice | undefined;

  private constructor(store: Xenstore, vbd: VbdPath, kernel: XenBackendDevice | undefined) {
    this.#store = store;
    this.#vbd = vbd;
    this.#kernel = kernel;
  }

  /**
   * Chooses the source: a blkback that keeps an `opened` node by the time it is in state 2, else
   * sysfs. Throws `EBLKBACK` where there is neither.
   */
  static async prepare(
    store: Xenstore,
    vbd: VbdPath,
    backend: VbdBackend,
    sysfs: string,
  ): Promise<OpenedWatch> {
    if (backend.text('opened') !== undefined) return new OpenedWatch(store, vbd, undefined);
    const kernel = await XenBackendDevice.pin(sysfs, vbd.sysfsName);
    if (kernel !== undefined) return new OpenedWatch(store, vbd, kernel);
    throw new VbdError(
      `blkback gives no way to tell when it opens the device: there is neither ${vbd.backend}/opened in XenStore nor ${vbd.sysfsName} in ${sysfs}/bus/xen-backend/devices; is this the backend domain?`,
      { code: 'EBLKBACK' },
    );
  }

  /** Throws `EOPEN` if blkback has a device open already that XenStore knew nothing of. */
  async requireClosed(): Promise<void> {
    const open = await this.#kernel?.readPhysicalDevice();
    if (open === undefined) return;
    throw new VbdError(
      `blkback still has device ${open} (hex) open for ${this.#vbd.sysfsName}, although ${this.#vbd.backend} names none`,
      { code: 'EOPEN' },
    );
  }

  /**
   * Waits until blkback has opened `devnum`. Throws `EBLKBACK` when it reports an error, goes to
   * another state, or has another device; `EGONE` when the backend goes away; the signal's reason.
   */
  async wait(devnum: Devnum, signal: AbortSignal): Promise<OpenedBy> {
    const kernel = this.#kernel;
    if (kernel === undefined) return await this.#waitStore(signal);
    // Before XenStore is asked for anything: blkback has questions of its own there now.
    const early = await pollEagerly(signal, () => kernel.readPhysicalDevice());
    if (early !== undefined) return this.#judge(early, devnum);
    // Whichever comes first ends the other.
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const sources = [this.#waitStore(either), this.#waitKernel(kernel, devnum, either)];
    try {
      return await Promise.race(sources);
    } finally {
      done.abort();
      await Promise.allSettled(sources);
    }
  }

  #waitStore(signal: AbortSignal): Promise<OpenedBy> {
    const nodes = ['frontend', 'state', 'opened', 'error'] as const;
    const { backend, error } = this.#vbd;
    // Removing the directory is told to a watch on each node in it.
    const paths = [`${backend}/state`, `${backend}/opened`, error];
    return waitFor(
      this.#store,
      paths,
      async () => {
        const backend = await readVbdBackend(this.#store, this.#vbd, { nodes, signal });
        if (this.#kernel === undefined && backend.text('opened') === '1') return 'key';
        throwIfRefused(this.#vbd, backend);
        return undefined;
      },
      { signal },
    );
  }

  async #waitKernel(
    kernel: XenBackendDevice,
    devnum: Devnum,
    signal: AbortSignal,
  ): Promise<OpenedBy> {
    return this.#judge(await pollPatiently(signal, () => kernel.readPhysicalDevice()), devnum);
  }

  /** Throws unless the device that blkback has open, as sysfs has it, is the one that was published. */
  #judge(open: string, devnum: Devnum): OpenedBy {
    const expected = formatDevnumHex(devnum);
    if (open === expected) return 'sysfs';
    throw new VbdError(
      `blkback opened device ${open} (hex) instead of ${expected} for ${this.#vbd.sysfsName}`,
      { code: 'EBLKBACK' },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kernel?.[Symbol.asyncDispose]();
  }
}

/** Throws if the backend is gone, or blkback has said or shown that it will not open the device. */
export function throwIfRefused(vbd: VbdPath, backend: VbdBackend): void {
  if (!backend.exists) {
    throw new VbdError(`${vbd.backend} was removed before blkback opened the device`, {
      code: 'EGONE',
    });
  }
  if (backend.kernelError !== undefined) {
    throw new VbdError(
      `blkback could not open the device: ${quote(backend.kernelError)} (${vbd.error})`,
      { code: 'EBLKBACK' },
    );
  }
  throwIfClosing(vbd, backend);
}

/** Throws `ESTATE` when blkback is on its way out. */
export function throwIfClosing(vbd: VbdPath, backend: VbdBackend): void {
  const state = backend.text('state');
  if (state !== XenbusState.Closing && state !== XenbusState.Closed) return;
  const name = state === XenbusState.Closing ? 'Closing' : 'Closed';
  throw new VbdError(
    `${vbd.backend} is in state ${state} (${name}): blkback takes no device there`,
    { code: 'ESTATE' },
  );
}
