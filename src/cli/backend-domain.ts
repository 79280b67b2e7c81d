import { findRemoteVbd, type GuestDisk } from '../vbd/find-vbd.js';
import { readOwnDomid } from '../vbd/own-domain.js';
import { inBackendDomain, type VbdPath } from '../vbd/vbd-path.js';
import { parseDomid } from './domid.js';
import type { StoreContext } from './invocation.js';
import { UsageError } from './usage-error.js';

/**
 * Returns the vbd of another backend domain that --backend-domain or an absolute path selects, or
 * `undefined` if the vbd belongs to this domain. Throws `UsageError` if the option and the path
 * contradict each other.
 */
export async function locateRemote(
  { store, signal, invocation }: StoreContext,
  named: VbdPath | GuestDisk,
): Promise<VbdPath | undefined> {
  const given = parseDomid('backend-domain', invocation.options?.['backend-domain']);
  const inPath = 'backend' in named ? named.backendDomid : undefined;
  if (given !== undefined && inPath !== undefined && given !== inPath) {
    throw new UsageError(
      `the path is one of domain ${inPath}, and --backend-domain is ${given}: leave one of them out`,
    );
  }
  const domid = given ?? inPath;
  if (domid === undefined || domid === (await readOwnDomid(store, { signal }))) return undefined;
  if ('backend' in named) return inBackendDomain(named, domid);
  return await findRemoteVbd(store, named, domid, { signal });
}

/** Tells whether a vbd that `locateRemote` may have returned belongs to another backend domain. */
export function isRemote({ backend }: VbdPath): boolean {
  return backend.startsWith('/');
}
