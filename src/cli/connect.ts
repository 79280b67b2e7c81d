import { reportFailure } from '../hotplug/report.js';
import { requireOwnDomain } from '../vbd/own-domain.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { OpenOptions } from '../xenstore/open.js';
import type { Xenstore } from '../xenstore/xenstore.js';

/** For XenStore, where the settings that say how long it may take cannot be read. */
const UNREADABLE_SETTINGS_MS = 2000;

/** Connects to xenstored; what that takes is loaded when used. */
export async function connect(options: OpenOptions): Promise<Xenstore> {
  const { openXenstore } = await import('../xenstore/open.js');
  return await openXenstore(options);
}

/** Reports a failure before the settings are known. */
export async function tellToolstack(vbd: VbdPath, error: unknown): Promise<void> {
  const signal = AbortSignal.timeout(UNREADABLE_SETTINGS_MS);
  try {
    await using store = await connect({ signal });
    await requireOwnDomain(store, vbd, { signal });
    await reportFailure(store, vbd, error, { signal });
  } catch {
    // It is told on stderr all the same.
  }
}
