import { unpublish } from '../vbd/publish.js';
import type { Attachment } from './attachment.js';
import { holdDevice } from './hold-device.js';
import { readFate, requestEnd } from './publication-fate.js';

/**
 * Takes a publication back, if blkback cannot have the device. If it has it open, or may open it later,
 * XenStore goes on naming it: else another guest's add would find that nobody has the device. Then the
 * device is held for blkback as well, and the vbd's end is asked for. Never rejects.
 */
export async function takeBackPublication(attachment: Attachment): Promise<void> {
  const { store, vbd, instance, publication, deadline, device, mark } = attachment;
  const signal = deadline.rollback();
  const fate = await readFate(store, instance, signal);
  if (fate === 'never') {
    await unpublish(store, vbd, publication, { signal });
    return;
  }
  attachment.isStillNamed = true;
  if (fate === 'pending') holdDevice(device, instance, mark);
  await requestEnd(store, vbd, publication, { signal });
}
