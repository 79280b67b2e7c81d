import { errorMessage } from '../errors.js';
import type { VbdPath } from '../xenstore/vbd-path.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { HotplugError, shorten, toOneLine } from './hotplug-error.js';
import type { Publication } from './publish.js';

/** Tells the toolstack that blkback has the device. Throws `EGONE` where there is nobody to tell. */
export async function reportConnected(
  store: Xenstore,
  vbd: VbdPath,
  publication: Publication,
  options: RequestOptions,
): Promise<void> {
  const at = (node: string): string => `${vbd.backend}/${node}`;
  const outcome = await store.transact(
    [
      { op: 'exists', path: at('frontend') },
      { op: 'expect', path: at('physical-device'), value: publication['physical-device'] },
      { op: 'remove', path: at('hotplug-error') },
      { op: 'write', path: at('hotplug-status'), value: 'connected' },
    ],
    options,
  );
  if (outcome.committed) return;
  throw new HotplugError(`${vbd.backend} was removed, or changed hands, during the attach`, {
    code: 'EGONE',
  });
}

/** Tells the toolstack why it failed. Never below a backend that is gone: that would bring it back. */
export async function reportFailure(
  store: Xenstore,
  vbd: VbdPath,
  error: unknown,
  options: RequestOptions,
): Promise<void> {
  const message = shorten(toOneLine(errorMessage(error)));
  await store.transact(
    [
      { op: 'exists', path: vbd.backend },
      { op: 'write', path: `${vbd.backend}/hotplug-error`, value: message },
      { op: 'write', path: `${vbd.backend}/hotplug-status`, value: 'error' },
    ],
    options,
  );
}
