import { reportFailure } from '../hotplug/report-to-toolstack.js';
import { requireOwnDomain } from '../vbd/own-domain.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { OpenOptions } from '../xenstore/open.js';
import type { Xenstore } from '../xenstore/xenstore.js';

/** The time for XenStore when the settings, and thus the timeout, cannot be read; milliseconds. */
const UNREADABLE_SETTINGS_MS = 2000;

/** Connects to xenstored. Loads the client only when it is used. */
export async function connect(options: OpenOptions): Promise<Xenstore> {
  const { openXenstore } = await import('../xenstore/open.js');
  return await openXenstore(options);
}

/** Reports a failure to the toolstack while the settings are unknown. Never rejects. */
export async function tellToolstack(vbd: VbdPath, error: unknown): Promise<void> {
  const signal = AbortSignal.timeout(UNREADABLE_SETTINGS_MS);
  try {
    await using store = await connect({ signal });
    await requireOwnDomain(store, vbd, { signal });
    await reportFailure(store, vbd, error, { signal });
  } catch {
    // The failure is printed on stderr in any case.
  }
}
