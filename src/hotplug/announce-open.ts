import { markPendingOpen } from '../sharing/pending-opens.js';
import type { Step } from '../util/steps.js';
import type { AttachStep } from './attach-options.js';
import type { Attachment } from './attachment.js';

/**
 * Says that blkback may open the device, before it can read of it, and for as long as XenStore may
 * cease to name it before the kernel says that it is open. Whoever looks at a loop device that was
 * made for the vbd sees that somebody has it open.
 */
export function announceOpen(attachment: Attachment): Step<AttachStep> {
  const { vbd, plan, options } = attachment;
  return {
    name: 'announced',
    waitsFor: `${options.runDirectory} to be locked`,
    run: async () => {
      const { bottom, identity } = attachment.device;
      if (bottom.ownLoop) return '';
      const use = { devnum: identity.devnum, writable: plan.request.writable };
      attachment.mark = await markPendingOpen(options.runDirectory, vbd, use);
      return '';
    },
    undo: async () => await attachment.mark?.close(),
  };
}
