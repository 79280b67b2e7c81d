import { poll } from '../util/poll.js';
import { limitTime } from '../util/time-limit.js';
import { OpenVbds } from './open-vbds.js';
import { VbdError } from './vbd-error.js';
import { sameVbd, type VbdPath } from './vbd-path.js';

/**
 * Waits until blkback has no device open for a vbd, as sysfs tells, whichever program detaches the
 * vbd. Throws `ETIMEDOUT` at the deadline, and `ESYSFS`.
 */
export async function awaitVbdClosed(
  vbd: VbdPath,
  options: {
    readonly sysfs: string;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { signal, late } = limitTime(options.timeoutMs, options.signal);
  const openVbds = new OpenVbds(options.sysfs);
  try {
    await poll(signal, async () => {
      const open = openVbds.list();
      return open.some((other) => sameVbd(other.vbd, vbd)) ? undefined : true;
    });
  } catch (error) {
    if (error !== late.reason) throw error;
    throw new VbdError(
      `${vbd.backend} is still open after ${options.timeoutMs / 1000} s: the guest has not let go of it`,
      { code: 'ETIMEDOUT', cause: error },
    );
  }
}
