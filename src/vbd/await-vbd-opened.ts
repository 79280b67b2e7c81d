import { limitTime } from '../util/time-limit.js';
import { waitFor } from '../xenstore/wait-for.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { awaitDeviceOpened, type OpenedBy, throwIfRefused } from './await-device-opened.js';
import { readPublishedDevice } from './published-device.js';
import { readVbdBackend, requireBackend, type VbdBackend } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import { VbdInstance } from './vbd-instance.js';
import type { VbdPath } from './vbd-path.js';

/**
 * Waits until blkback has opened the device of a vbd, whichever program attaches the vbd. Resolves
 * with the way in which that is known. Throws `EBACKEND` where there is no such vbd, `EGONE`,
 * `ESTATE` or `EBLKBACK` where blkback never will, `EATTACH` or `EBUSY` where an add of the vbd has
 * failed, `EPUBLISHED` where `physical-device` names no device, `ESYSFS`, and `ETIMEDOUT` at the
 * deadline.
 */
export async function awaitVbdOpened(
  store: Xenstore,
  vbd: VbdPath,
  options: {
    readonly sysfs: string;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<OpenedBy> {
  const { signal, late } = limitTime(options.timeoutMs, options.signal);
  // A vbd that was there and goes ends with another error than one that never was there.
  let hasBeenSeen = false;
  let waitingFor = `${vbd.backend}/physical-device`;
  try {
    const { backend, published } = await waitFor(
      store,
      [vbd.backend, vbd.error],
      async () => {
        const seen = await readVbdBackend(store, vbd, { signal });
        if (!hasBeenSeen) requireBackend(vbd, seen);
        hasBeenSeen = true;
        throwIfRefused(vbd, seen);
        throwIfFailed(vbd, seen);
        const device = readPublishedDevice(vbd, seen);
        return device && { backend: seen, published: device };
      },
      { signal },
    );
    waitingFor = 'blkback to open it';
    await using instance = await VbdInstance.pin(options.sysfs, vbd, backend);
    return await awaitDeviceOpened(store, instance, published.devnum, signal);
  } catch (error) {
    if (error !== late.reason) throw error;
    throw new VbdError(
      `${vbd.backend} is not open after ${options.timeoutMs / 1000} s, waiting for ${waitingFor}`,
      { code: 'ETIMEDOUT', cause: error },
    );
  }
}

/**
 * Throws `EBUSY` or `EATTACH` if an add has failed and has said so in `hotplug-status`, as this
 * project and Xen's own scripts do.
 */
function throwIfFailed(vbd: VbdPath, backend: VbdBackend): void {
  const status = backend.text('hotplug-status');
  if (status !== 'error' && status !== 'busy') return;
  const reason = backend.text('hotplug-error') ?? `hotplug-status is ${status}`;
  throw new VbdError(`the add of ${vbd.backend} has failed: ${reason}`, {
    code: status === 'busy' ? 'EBUSY' : 'EATTACH',
  });
}
