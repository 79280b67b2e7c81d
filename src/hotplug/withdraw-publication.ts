import type { OwnedFd } from '../linux/fd.js';
import { markPendingOpen } from '../sharing/pending-opens.js';
import type { Publication } from '../vbd/publish-device.js';
import { unpublish } from '../vbd/unpublish.js';
import { isMadeAnew } from '../vbd/vbd-directory.js';
import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import { XenbusState } from '../vbd/xenbus-state.js';
import type { TransactOptions, Xenstore } from '../xenstore/xenstore.js';
import type { Attachment } from './attachment.js';
import { holdDevice } from './hold-device.js';
import { readPublicationOutcome } from './publication-outcome.js';

/**
 * Takes a publication back, if blkback cannot have the device. If blkback has the device open, or
 * may open it later, XenStore goes on naming it: otherwise another guest's add would find the
 * device unused. The end of the vbd is asked for then, unless another add has published the device and
 * this one was only interrupted. A device that blkback may open later is also held for it. Never
 * rejects.
 */
export async function withdrawPublication(attachment: Attachment): Promise<void> {
  const { store, vbd, instance, publication, deadline, device, followsPendingOpen } = attachment;
  const { sysfs } = attachment.options;
  const signal = deadline.rollback();
  const facts = { followsPendingOpen, signal };
  const outcome = await readPublicationOutcome(store, instance, facts);
  // A vbd that was made anew may have the same device, and names it in the same words.
  const confirm = (): boolean => !isMadeAnew(sysfs, vbd.sysfsName, instance.directory);
  if (outcome === 'never') {
    await unpublish(store, vbd, publication, { signal, confirm });
    return;
  }
  attachment.isStillNamed = true;
  const isHeld = attachment.endHold !== undefined;
  if (outcome === 'pending' && !isHeld) holdDevice(device, instance, await markOf(attachment));
  if (attachment.mayBeServedByOther) return;
  await requestEnd(store, vbd, publication, { signal, confirm });
}

/**
 * Returns the lock that says which device blkback may still open. A loop device that was made for
 * the vbd has none yet. Without the lock, others would have to wait until blkback has opened it.
 */
async function markOf(attachment: Attachment): Promise<OwnedFd | undefined> {
  const { vbd, device, plan, options } = attachment;
  const use = { devnum: device.identity.devnum, writable: plan.request.writable };
  attachment.mark ??= await markPendingOpen(options.runDirectory, vbd, use).catch(() => undefined);
  return attachment.mark;
}

/**
 * Asks for the end of a vbd whose attach has failed although blkback has its device, or may get it.
 * The request is the one that libxl makes (libxl_device.c, libxl__initiate_device_generic_remove).
 * The nodes that name the device stay, because they are the truth. Never rejects.
 */
async function requestEnd(
  store: Xenstore,
  vbd: VbdPath,
  publication: Publication,
  options: TransactOptions,
): Promise<void> {
  const number = publication['physical-device'];
  try {
    const { signal } = options;
    const [state] = await store.readMany([backendNode(vbd, 'state')], { signal });
    const closing = {
      op: 'write',
      path: backendNode(vbd, 'state'),
      value: XenbusState.Closing,
    } as const;
    await store.transact(
      [
        { op: 'exists', path: backendNode(vbd, 'frontend') },
        { op: 'expect', path: backendNode(vbd, 'physical-device'), value: number },
        { op: 'write', path: backendNode(vbd, 'online'), value: '0' },
        // This node says `connected` where xenstored carried the report out although this program
        // no longer waited for the reply.
        { op: 'remove', path: backendNode(vbd, 'hotplug-status') },
        ...(state?.toString() === XenbusState.Closed ? [] : [closing]),
      ],
      options,
    );
  } catch {
    // The exit status tells the toolstack of the failure, and the toolstack ends the vbd itself.
  }
}
