import { unpublish } from '../vbd/publish-device.js';
import type { Attachment } from './attachment.js';
import { holdDevice } from './hold-device.js';
import { readPublicationOutcome, requestEnd } from './publication-outcome.js';

/**
 * Takes a publication back, if blkback cannot have the device. If blkback has the device open, or
 * may open it later, XenStore goes on naming it: otherwise another guest's add would find the
 * device unused. The end of the vbd is asked for then. A device that blkback may open later is also
 * held for it. Never rejects.
 */
export async function withdrawPublication(attachment: Attachment): Promise<void> {
  const { store, vbd, instance, publication, deadline, device, mark } = attachment;
  const signal = deadline.rollback();
  const outcome = await readPublicationOutcome(store, instance, signal);
  if (outcome === 'never') {
    await unpublish(store, vbd, publication, { signal });
    return;
  }
  attachment.isStillNamed = true;
  if (outcome === 'pending') holdDevice(device, instance, mark);
  await requestEnd(store, vbd, publication, { signal });
}
