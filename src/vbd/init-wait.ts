import { waitFor } from '../xenstore/wait-for.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { throwIfClosing } from './opened.js';
import { readVbdBackend, requireBackend, type VbdBackend, XenbusState } from './vbd-backend.js';
import type { VbdPath } from './vbd-path.js';

/**
 * Waits until blkback has written `state` 2 (InitWait): it is ready for a device. Resolves with what
 * tells whether it will say so when it has opened one: that may be `seen`, the nodes as they were just
 * read, with `opened` after `state`. Throws `EBACKEND`, `ESTATE` where it never will, and the signal's
 * reason.
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
