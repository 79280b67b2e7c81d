import { awaitInitWait } from '../vbd/await-init-wait.js';
import { requireBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { HotplugError } from './hotplug-error.js';

/**
 * Returns whether a vbd is a CD-ROM drive without a medium: libxl writes empty `params` for it.
 * Pure.
 */
export function isEmptyDrive(backend: VbdBackend): boolean {
  return backend.bytes('params')?.length === 0 && backend.text('device-type') === 'cdrom';
}

/**
 * Serves a drive without a medium. There is no device to name to blkback, and the toolstack is told
 * that all is well. When a medium is put in, the toolstack writes `params`, and an add attaches the
 * medium. Throws `EPUBLISHED` where blkback has been given a medium before, which it keeps until
 * the vbd is removed, and `EGONE` where the vbd was removed or changed meanwhile.
 */
export async function attachEmptyDrive(
  store: Xenstore,
  vbd: VbdPath,
  backend: VbdBackend,
  signal: AbortSignal,
): Promise<void> {
  requireBackend(vbd, backend);
  if (backend.text('physical-device') !== undefined) throw mediumLeft(vbd);
  await awaitInitWait(store, vbd, backend, signal);
  const options: RequestOptions = { signal };
  const outcome = await store.transact(
    [
      { op: 'exists', path: backendNode(vbd, 'frontend') },
      { op: 'expect', path: backendNode(vbd, 'params'), value: '' },
      { op: 'expect', path: backendNode(vbd, 'physical-device'), value: undefined },
      { op: 'remove', path: backendNode(vbd, 'hotplug-error') },
      { op: 'write', path: backendNode(vbd, 'hotplug-status'), value: 'connected' },
    ],
    options,
  );
  if (outcome.committed) return;
  throw new HotplugError(`${vbd.backend} was removed, or changed, while its drive was empty`, {
    code: 'EGONE',
  });
}

function mediumLeft(vbd: VbdPath): HotplugError {
  return new HotplugError(
    `${vbd.backend}/params is empty, but its physical-device still names the medium that was in the drive: blkback keeps a medium until the vbd is removed`,
    { code: 'EPUBLISHED' },
  );
}
