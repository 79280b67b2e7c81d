import { errorCode, errorMessage } from '../errors.js';
import { lockStorage } from '../sharing/storage-locks.js';
import type { Step } from '../util/steps.js';
import { requireNamedAsSeen } from '../vbd/publish-device.js';
import { placeRecord } from '../vbd/record.js';
import { VbdError } from '../vbd/vbd-error.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { AttachStep } from './attach-options.js';
import type { Attachment } from './attachment.js';
import { forgetPredecessor, readPredecessor, unbindPredecessor } from './unbind-predecessor.js';

/**
 * Returns the step that records what a kill would leave behind, before anything can be killed.
 *
 * Two adds of one vbd may be here at once. Only one of them is published, and only its record may
 * stay: the loop device of a record that is replaced would be nobody's. So whoever places a record
 * has a lock from before it looks into XenStore until it is published.
 */
export function recordUndoing(attachment: Attachment): Step<AttachStep> {
  const { store, vbd, backend, plan, options, signal } = attachment;
  const { runDirectory } = options;
  const isNeeded = (): boolean => attachment.device.bottom.ownLoop && !plan.target.autoclear;
  let takeBack: (() => void) | undefined;
  return {
    name: 'recorded',
    waitsFor: `${runDirectory} to take the record`,
    run: async () => {
      const { identity, path } = attachment.device.bottom;
      const { devnum, diskseq } = identity;
      if (!isNeeded() && readPredecessor(runDirectory, vbd, diskseq) === undefined) return '';
      attachment.recordLock = await lockRecord(runDirectory, vbd, signal);
      try {
        await requireNamedAsSeen(store, vbd, backend, { signal });
        if (isNeeded()) {
          await unbindPredecessor(runDirectory, vbd, diskseq, signal);
          takeBack = placeRecord(runDirectory, vbd, { devnum, diskseq, path, unbind: true });
        } else {
          await forgetPredecessor(runDirectory, vbd, diskseq, signal);
        }
        return '';
      } catch (error) {
        await attachment.recordLock[Symbol.asyncDispose]();
        throw error;
      }
    },
    undo: async () => {
      try {
        // Another add of the vbd may have adopted the device meanwhile, and let it stay bound.
        if (!attachment.isStillNamed && !attachment.mayStayBound) takeBack?.();
      } catch {
        // The attach has an error to tell already, and `remove` takes the record away.
      }
      await attachment.recordLock?.[Symbol.asyncDispose]();
    },
  };
}

/** Keeps other adds of the vbd away from its record. Throws `ERECORD`, or the signal's reason. */
async function lockRecord(
  runDirectory: string,
  vbd: VbdPath,
  signal: AbortSignal,
): Promise<AsyncDisposable> {
  try {
    const key = `record of ${vbd.backend}`;
    return await lockStorage(runDirectory, [{ key, exclusive: true }], signal);
  } catch (cause) {
    if (errorCode(cause) !== 'ELOCK') throw cause;
    throw new VbdError(
      `the record of what is to be undone of ${vbd.backend} cannot be kept: ${errorMessage(cause)}`,
      { code: 'ERECORD', cause },
    );
  }
}
