import { errorMessage } from '../errors.js';
import { limitTime } from '../util/time-limit.js';
import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import { readText } from '../xenstore/text.js';
import type { RequestOptions, TransactionStep, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';
import { HotplugError } from './hotplug-error.js';

/** The node below which xapi keeps its own nodes. No other toolstack makes it. */
const XAPI = '/xapi';

/**
 * Finds the node in which a hotplug script tells xapi of a disk, beside `hotplug-status` (xen-api,
 * ocaml/xenopsd/scripts/block): `/xapi/<uuid>/hotplug/<domid>/vbd/<devid>/hotplug`. Returns
 * `undefined` where another toolstack has made the guest.
 */
export async function findXapiNode(
  store: Xenstore,
  vbd: VbdPath,
  options: RequestOptions,
): Promise<string | undefined> {
  // This comes first, because it settles the matter where there is no xapi.
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

/**
 * Reads a node's text; `undefined` where this domain may not read it. A driver domain may not read
 * the nodes of others, and takes them as absent.
 */
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

/** The options of work of which xapi is told. */
export interface XapiReportOptions extends RequestOptions {
  /** The time for the work and the report together; milliseconds. The toolstack waits no longer. */
  readonly timeoutMs: number;
  /**
   * Called with a sentence when the disk is attached but xapi could not be told. The guest has its
   * disk then: an error would have the toolstack take the disk away.
   */
  readonly onUntold: (sentence: string) => void;
}

/**
 * Attaches or detaches a disk by `work`, and then tells xapi of the disk, if xapi has made the
 * guest. Whether xapi has made the guest is looked up while `work` runs, so that the look-up adds
 * no wait. Throws the errors of `work`, and after a detach those of the store: xapi waits until its
 * node is gone, and another `remove` removes the node.
 */
export async function withXapiReport<T>(
  store: Xenstore,
  vbd: VbdPath,
  isAttached: boolean,
  options: XapiReportOptions,
  work: () => Promise<T>,
): Promise<T> {
  const { signal, late } = limitTime(options.timeoutMs, options.signal);
  const looking = findXapiNode(store, vbd, { signal });
  // The promise is awaited below, unless the work fails.
  looking.catch(() => undefined);
  const result = await work();
  try {
    const node = await looking;
    if (node !== undefined) {
      await store.transact([setOrRemove(node, isAttached && 'online')], { signal });
    }
  } catch (cause) {
    const error = cause === late.reason ? lateError(options.timeoutMs, cause) : cause;
    if (!isAttached) throw error;
    options.onUntold(
      `${vbd.backend} is attached, but xapi could not be told: ${errorMessage(error)}`,
    );
  }
  return result;
}

function lateError(timeoutMs: number, cause: unknown): HotplugError {
  return new HotplugError(
    `xenstored has not answered within the ${timeoutMs / 1000} s that there are`,
    { code: 'ETIMEDOUT', cause },
  );
}

/**
 * Does what xapi asks for with `XENBUS_PREFIX`: another program serves the disk, and only the
 * status is written, below that prefix.
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
