import { BlkbackError, errorCode, errorMessage } from '../errors.js';
import { SystemError } from '../linux/errno.js';
import { shorten, toOneLine } from '../util/one-line.js';
import type { Publication } from '../vbd/publish-device.js';
import { isMadeAnew, VbdDirectory } from '../vbd/vbd-directory.js';
import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import type {
  RequestOptions,
  TransactionStep,
  TransactOptions,
  Xenstore,
} from '../xenstore/xenstore.js';
import { HotplugError } from './hotplug-error.js';

/**
 * Tells the toolstack that blkback has the device. Throws `EGONE` where the backend is gone, was
 * made anew or names another device.
 *
 * @param options `confirm` tells whether the nodes are still those of the same instance.
 */
export async function reportConnected(
  store: Xenstore,
  vbd: VbdPath,
  publication: Publication,
  options: TransactOptions,
): Promise<void> {
  const outcome = await store.transact(
    [
      { op: 'exists', path: backendNode(vbd, 'frontend') },
      {
        op: 'expect',
        path: backendNode(vbd, 'physical-device'),
        value: publication['physical-device'],
      },
      { op: 'remove', path: backendNode(vbd, 'hotplug-error') },
      { op: 'write', path: backendNode(vbd, 'hotplug-status'), value: 'connected' },
    ],
    options,
  );
  if (outcome.committed) return;
  throw new HotplugError(`${vbd.backend} was removed, or changed hands, during the attach`, {
    code: 'EGONE',
  });
}

/** How often a report is tried while other adds of the vbd report as well. */
const REPORTS = 5;

/**
 * Tells the toolstack why an attach failed, unless the vbd is served or was made anew. An add that
 * fails for a guest that has its disk changes nothing for that guest: another add of the vbd may
 * report that it has succeeded between the look at the nodes and the write.
 *
 * @param options `instance` is the directory of the instance that was to get the device, if the
 *   attach has come so far. It need not be pinned any more.
 */
export async function reportAttachFailure(
  store: Xenstore,
  vbd: VbdPath,
  error: unknown,
  {
    sysfs,
    instance,
    ...options
  }: RequestOptions & { readonly sysfs: string; readonly instance: VbdDirectory | undefined },
): Promise<void> {
  const nodes = ['hotplug-status', 'physical-device'].map((node) => backendNode(vbd, node));
  const confirm = (): boolean =>
    instance === undefined || !isMadeAnew(sysfs, vbd.sysfsName, instance);
  for (let left = REPORTS; left > 0; left--) {
    const values = await store.readMany(nodes, options);
    const [status, device] = values;
    if (status?.toString('utf8') === 'connected' && device !== undefined) {
      await using directory = await VbdDirectory.pin(sysfs, vbd.sysfsName);
      if (directory?.readOpenDevice() !== undefined) return;
    }
    const asSeen = nodes.map(
      (path, index) => ({ op: 'expect', path, value: values[index] }) as const,
    );
    if (await reportFailure(store, vbd, error, { ...options, confirm, asSeen })) return;
    if (!confirm()) return;
  }
}

/**
 * Tells the toolstack, and the guest, which can read its backend directory, why an attach or detach
 * failed. Never writes below a backend that is gone, because a write would bring the backend back.
 * Returns whether the failure has been told, or there is nobody to tell.
 *
 * @param options `asSeen` says what must still be so in the moment of the report.
 */
export async function reportFailure(
  store: Xenstore,
  vbd: VbdPath,
  error: unknown,
  { asSeen = [], ...options }: TransactOptions & { readonly asSeen?: readonly TransactionStep[] },
): Promise<boolean> {
  const message = shorten(toOneLine(messageForGuest(vbd, error)));
  // `EBUSY` from a system call is another matter: it does not tell who uses the device.
  const busy = errorCode(error) === 'EBUSY' && !(error instanceof SystemError);
  const outcome = await store.transact(
    [
      { op: 'exists', path: vbd.backend },
      ...asSeen,
      { op: 'write', path: backendNode(vbd, 'hotplug-error'), value: message },
      { op: 'write', path: backendNode(vbd, 'hotplug-status'), value: busy ? 'busy' : 'error' },
    ],
    options,
  );
  return outcome.committed || outcome.failed === 0;
}

/** Returns what a guest may know of an error of its vbd. */
function messageForGuest(vbd: VbdPath, error: unknown): string {
  const message = error instanceof BlkbackError ? error.guestMessage : undefined;
  return message === undefined ? errorMessage(error) : `vbd ${vbd.devid}: ${message}`;
}
