import { sameDevnum } from '../linux/devnum.js';
import {
  listPendingOpensFor,
  markPendingOpen,
  type PendingOpen,
} from '../sharing/pending-opens.js';
import type { Step } from '../util/steps.js';
import type { AttachStep } from './attach-options.js';
import type { Attachment } from './attachment.js';
import { holdDevice, nobodyHolds } from './hold-device.js';

/**
 * Returns the step that announces that blkback may open the device. The announcement comes before
 * the publication. It lasts until the kernel shows that blkback has the device open, because a
 * toolstack may delete the nodes before that. A loop device that was made for the vbd needs no
 * announcement: it shows by itself that somebody has it open. Below a layer it does not show that,
 * because the layer has it open in any case. The layer itself may be open in this process only, which
 * serves other vbds, too.
 *
 * An add that adopts a publication may find its announcement, which is about the same device. If
 * blkback may still open an earlier device for the vbd, whoever looks takes the announcement of that
 * one for all that is pending (`listUsesAndOpens`). The vbd may also outlive this process and its nodes
 * with both opens ahead. So the later device is announced in any case then, and another process holds
 * it with its announcement until blkback has opened a device.
 */
export function announceOpen(attachment: Attachment): Step<AttachStep> {
  const { vbd, plan, options } = attachment;
  return {
    name: 'announced',
    waitsFor: `${options.runDirectory} to be locked`,
    run: async () => {
      const { device, instance, published } = attachment;
      const pending = await listPendingOpensFor(options.runDirectory, vbd);
      const isPublished = ({ devnum }: PendingOpen): boolean =>
        published !== undefined && sameDevnum(devnum, published.devnum);
      const isSecond = pending.some((open) => !isPublished(open));
      attachment.followsPendingOpen = isSecond;
      // A loop device that was made for a reader is read-only.
      attachment.isPublishedForWriting =
        device.ownLoop || pending.some((open) => isPublished(open) && open.writable);
      if (device.ownLoop && !isSecond) return '';
      const use = { devnum: device.identity.devnum, writable: plan.request.writable };
      const mark = await markPendingOpen(options.runDirectory, vbd, use);
      attachment.mark = mark;
      if (!isSecond) return '';
      attachment.endHold = holdDevice(device, instance, mark);
      if (attachment.endHold !== undefined) return '';
      await mark.close();
      throw nobodyHolds(device.path);
    },
    undo: async () => {
      if (!attachment.isStillNamed) attachment.endHold?.();
      await attachment.mark?.close();
    },
  };
}
