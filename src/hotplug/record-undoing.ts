import type { Step } from '../util/steps.js';
import { placeRecord } from '../vbd/record.js';
import type { AttachStep } from './attach-options.js';
import type { Attachment } from './attachment.js';
import { forgetPredecessor, unbindPredecessor } from './unbind-predecessor.js';

/** Returns the step that records what a kill would leave behind, before anything can be killed. */
export function recordUndoing(attachment: Attachment): Step<AttachStep> {
  const { vbd, plan, options } = attachment;
  const isNeeded = (): boolean => attachment.device.bottom.ownLoop && !plan.target.autoclear;
  let takeBack: (() => void) | undefined;
  return {
    name: 'recorded',
    waitsFor: `${options.runDirectory} to take the record`,
    run: async () => {
      const { identity, path } = attachment.device.bottom;
      const { devnum, diskseq } = identity;
      if (!isNeeded()) {
        await forgetPredecessor(options.runDirectory, vbd, diskseq, attachment.signal);
        return '';
      }
      await unbindPredecessor(options.runDirectory, vbd, diskseq, attachment.signal);
      takeBack = placeRecord(options.runDirectory, vbd, { devnum, diskseq, path, unbind: true });
      return '';
    },
    undo: async () => {
      // Another add of the vbd may have adopted the device meanwhile, and let it stay bound.
      if (attachment.isStillNamed) return;
      try {
        takeBack?.();
      } catch {
        // The attach has an error to tell already, and `remove` takes the record away.
      }
    },
  };
}
