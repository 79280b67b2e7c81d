import { unpublish } from '../vbd/publish.js';
import { writeRecord } from '../vbd/record.js';
import type { Attachment } from './attachment.js';
import { readFate, requestEnd, retainDevice } from './publication-fate.js';

/**
 * Takes a publication back, if blkback cannot have the device. If it has it open, or may open it later,
 * XenStore goes on naming it: else another guest's add would find that nobody has the device. Then the
 * device is kept for blkback as well, and the vbd's end is asked for. Never rejects.
 */
export async function takeBackPublication(attachment: Attachment): Promise<void> {
  const { store, vbd, instance, publication, deadline, device, options } = attachment;
  const signal = deadline.rollback();
  const fate = await readFate(store, instance, signal);
  if (fate === 'never') {
    await unpublish(store, vbd, publication, { signal });
    return;
  }
  attachment.isKept = true;
  if (fate === 'pending') {
    await retainDevice(device);
    const { identity, path, ownLoop } = device.bottom;
    const { devnum, diskseq } = identity;
    const record = { devnum, diskseq, path, unbind: true };
    // It is a hint: as long as the nodes are there, they tell the same.
    if (ownLoop) await writeRecord(options.runDirectory, vbd, record).catch(() => undefined);
  }
  await requestEnd(store, vbd, publication, { signal });
}
