import { sameDevnum } from '../linux/devnum.js';
import type { Publication } from '../vbd/publish-device.js';
import { parsePublishedDevice } from '../vbd/published-device.js';
import { readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import { VbdDirectory } from '../vbd/vbd-directory.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { XenbusState } from '../vbd/xenbus-state.js';
import type { Xenstore } from '../xenstore/xenstore.js';

const NODES = ['params', 'state', 'physical-device', 'diskseq', 'hotplug-status'] as const;

/**
 * Tells whether what a finished attach has published is still what blkback has open. The nodes do
 * not say so: they stay when blkback closes the device, and a vbd that is made anew under the same
 * path may be given the same nodes.
 *
 * @param sysfs the root of sysfs.
 * @param publication `undefined` where the attach has found a drive without a medium.
 */
export async function isStillAttached(
  store: Xenstore,
  vbd: VbdPath,
  sysfs: string,
  publication: Publication | undefined,
): Promise<boolean> {
  // Pinned before the nodes are read: the device of an instance that came later is another answer.
  await using directory = await VbdDirectory.pin(sysfs, vbd.sysfsName);
  const backend = await readVbdBackend(store, vbd, { nodes: NODES });
  const isReported =
    backend.text('physical-device') === publication?.['physical-device'] &&
    backend.text('diskseq') === publication?.diskseq &&
    backend.text('hotplug-status') === 'connected';
  if (!isReported) return false;
  if (publication === undefined) return isEmptyAndReady(backend);
  const named = parsePublishedDevice({
    physicalDevice: publication['physical-device'],
    diskseq: publication.diskseq,
  });
  const open = directory?.readOpenDevice();
  return named !== undefined && open !== undefined && sameDevnum(named.devnum, open);
}

/** Tells whether a drive still has no medium, and blkback still would take one. */
function isEmptyAndReady(backend: VbdBackend): boolean {
  return backend.bytes('params')?.length === 0 && backend.text('state') === XenbusState.InitWait;
}
