import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { VbdError } from './vbd-error.js';
import type { VbdPath } from './vbd-path.js';

/** The node in which xen-init-dom0 and libxl tell a domain its number; relative to that domain. */
const OWN_DOMID = 'domid';

/**
 * Makes sure that a vbd that was named by an absolute path is one of this domain's backends,
 * because the nodes of a vbd are read and written by their relative path. Throws `EVBD`.
 */
export async function requireOwnDomain(
  store: Xenstore,
  vbd: VbdPath,
  options: RequestOptions = {},
): Promise<void> {
  const named = vbd.backendDomid;
  if (named === undefined) return;
  const own = await readOwnDomid(store, options);
  if (own === named) return;
  throw new VbdError(
    `/local/domain/${named}/${vbd.backend} is a backend of domain ${named}, and this is domain ${own}: run this in domain ${named}, where the device is`,
    { code: 'EVBD' },
  );
}

/** Returns the number of this domain. A domain that was told no number is domain 0. */
export async function readOwnDomid(store: Xenstore, options: RequestOptions = {}): Promise<number> {
  const [value] = await store.readMany([OWN_DOMID], options);
  return Number(value?.toString('utf8') || '0');
}
