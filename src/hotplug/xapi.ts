import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import { readText } from '../xenstore/text.js';
import type { RequestOptions, TransactionStep, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';

/** Below it xapi keeps its own nodes; no other toolstack makes it. */
const XAPI = '/xapi';

/**
 * The node by which a hotplug script tells xapi of a disk beside `hotplug-status`
 * (xen-api, ocaml/xenopsd/scripts/block): `/xapi/<uuid>/hotplug/<domid>/vbd/<devid>/hotplug`.
 * `undefined` where another toolstack has made the guest.
 */
export async function findXapiNode(
  store: Xenstore,
  vbd: VbdPath,
  options: RequestOptions,
): Promise<string | undefined> {
  // First, as it settles the matter everywhere else.
  if ((await readReadable(store, XAPI, options)) === undefined) return undefined;
  const vm = await readReadable(store, `/local/domain/${vbd.domid}/vm`, options);
  if (vm === undefined || !/^\/vm\/[0-9a-zA-Z_-]{1,64}$/.test(vm)) return undefined;
  const uuid = await readReadable(store, `${vm}/uuid`, options);
  if (uuid === undefined || !/^[0-9a-f-]{36}$/.test(uuid)) return undefined;
  const known = await readReadable(store, `${XAPI}/${uuid}`, options);
  return known === undefined
    ? undefined
    : `${XAPI}/${uuid}/hotplug/${vbd.domid}/vbd/${vbd.devid}/hotplug`;
}

/** A driver domain may not read the nodes of others: to it they are not there. */
async function readReadable(
  store: Xenstore,
  path: string,
  options: RequestOptions,
): Promise<string | undefined> {
  try {
    return await readText(store, path, options);
  } catch (error) {
    if (isXenstoreError(error, 'EACCES')) return undefined;
    throw error;
  }
}

/**
 * Attaches or detaches a disk by `work`, and tells xapi of it then, if xapi has made the guest. Whether it
 * has is looked up meanwhile, so that nobody waits for that. Throws what `work` throws, and as the store
 * does.
 */
export async function tellingXapi<T>(
  store: Xenstore,
  vbd: VbdPath,
  isAttached: boolean,
  options: RequestOptions,
  work: () => Promise<T>,
): Promise<T> {
  const looking = findXapiNode(store, vbd, options);
  // It is awaited below, unless the work fails.
  looking.catch(() => undefined);
  const result = await work();
  const node = await looking;
  if (node !== undefined) {
    await store.transact([setOrRemove(node, isAttached && 'online')], options);
  }
  return result;
}

/**
 * What xapi asks for with `XENBUS_PREFIX`: the disk is served by another, and only the status is written,
 * below that prefix.
 */
export async function writePrefixedStatus(
  store: Xenstore,
  { vbd, prefix }: { readonly vbd: VbdPath; readonly prefix: string },
  isAttached: boolean,
  options: RequestOptions,
): Promise<void> {
  const node = await findXapiNode(store, vbd, options);
  const status = `${prefix}${backendNode(vbd, 'hotplug-status')}`;
  const steps = [setOrRemove(status, isAttached && 'connected')];
  if (node !== undefined) steps.unshift(setOrRemove(node, isAttached && 'online'));
  await store.transact(steps, options);
}

function setOrRemove(path: string, value: string | false): TransactionStep {
  return value === false ? { op: 'remove', path } : { op: 'write', path, value };
}
