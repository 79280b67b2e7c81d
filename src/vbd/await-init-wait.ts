import { waitFor } from '../xenstore/wait-for.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { throwIfClosing } from './await-device-opened.js';
import { readVbdBackend, requireBackend, type VbdBackend } from './vbd-backend.js';
import type { VbdPath } from './vbd-path.js';
import { XenbusState } from './xenbus-state.js';

/**
 * Waits until blkback has written `state` 2 (InitWait), which means that it is ready for a device.
 * Resolves with nodes that tell whether blkback keeps an `opened` node. These nodes may be `seen`,
 * which the caller has just read, with `opened` after `state`. Throws `EBACKEND` or `ESTATE` where
 * blkback will never be ready, and the signal's reason.
 */
export async function awaitInitWait(
  store: Xenstore,
  vbd: VbdPath,
  seen: VbdBackend,
  signal: AbortSignal,
): Promise<VbdBackend> {
  if (seen.exists && seen.text('state') === XenbusState.InitWait) return seen;
  const nodes = ['frontend', 'state', 'opened'] as const;
  return await waitFor(
    store,
    [`${vbd.backend}/state`],
    async () => {
      const backend = await readVbdBackend(store, vbd, { nodes, signal });
      requireBackend(vbd, backend);
      throwIfClosing(vbd, backend);
      return backend.text('state') === XenbusState.InitWait ? backend : undefined;
    },
    { signal },
  );
}
