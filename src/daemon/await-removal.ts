import type { Deadline } from '../hotplug/deadline.js';
import { HotplugError } from '../hotplug/hotplug-error.js';
import { reportAttachFailure } from '../hotplug/report-to-toolstack.js';
import { orAborted } from '../util/or-aborted.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { JobOptions } from './attach-job.js';

/**
 * Waits in an add until the removal of the vbd that is under way has ended. Throws `ETIMEDOUT`, and
 * tells the toolstack, when the time of the add is up.
 */
export async function awaitRemoval(
  removed: Promise<void>,
  store: Xenstore,
  vbd: VbdPath,
  { timeoutMs, sysfs }: Pick<JobOptions, 'timeoutMs' | 'sysfs'>,
  deadline: Deadline,
): Promise<void> {
  try {
    await orAborted(removed, deadline.signal);
  } catch (cause) {
    const error = new HotplugError(
      `${vbd.backend}: gave up within the ${timeoutMs / 1000} s that there are, waiting for the removal of the vbd to end`,
      { code: 'ETIMEDOUT', cause },
    );
    const report = { signal: deadline.rollback(), sysfs, instance: undefined };
    await reportAttachFailure(store, vbd, error, report).catch(() => undefined);
    throw error;
  }
}
