import { SharingLock } from '../sharing/sharing-lock.js';
import { sharingRequest } from '../sharing/sharing-request.js';
import type { Sharing } from '../sharing/sharing-rules.js';
import { directLookup } from '../topology/storage-lookup.js';
import { showPath } from '../util/path-bytes.js';
import type { Step } from '../util/steps.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { readVbdUses, type VbdUses } from '../vbd/vbd-uses.js';
import type { AttachStep } from './attach-options.js';
import type { Attachment } from './attachment.js';

/** How long an add waits for the locks of one that has looked already; milliseconds. */
const PATIENCE_MS = 1500;

/** Returns the step that makes sure that no other use forbids the attach. */
export function requireNoConflict(attachment: Attachment): Step<AttachStep> {
  return {
    name: 'checked',
    waitsFor: 'what else uses the same bytes',
    run: async () => {
      await requireFree(attachment, attachment.sharingLock);
      return '';
    },
  };
}

/**
 * Returns the same step for a device that is published already. The add that has published it has
 * looked, but it may have looked for a reader: the mode may have changed since. An add for a reader
 * finds nothing that the earlier one has not found. The step comes after the publication is adopted,
 * as blkback may open the device in any case, and the vbd has to end then.
 *
 * An add that hangs just behind its publication has the locks still. If it has published for a writer,
 * it has looked for all that this one would look for, so that nothing depends on a second look.
 */
export function requireNoConflictAgain(attachment: Attachment): Step<AttachStep> {
  const { plan, options } = attachment;
  return {
    name: 'checked',
    waitsFor: 'what else uses the same bytes',
    run: async () => {
      if (attachment.isServed || !plan.request.writable) return '';
      await using lock = SharingLock.unlocked({
        runDirectory: options.runDirectory,
        exclusive: true,
      });
      const { signal, isPublishedForWriting } = attachment;
      if (!isPublishedForWriting) {
        await requireFree(attachment, lock);
        return '';
      }
      const soon = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
      try {
        await requireFree(attachment, lock, soon);
        return '';
      } catch (error) {
        signal.throwIfAborted();
        if (error !== soon.reason) throw error;
        return 'by the add that has published the device';
      }
    },
  };
}

async function requireFree(
  attachment: Attachment,
  lock: SharingLock,
  signal = attachment.signal,
): Promise<void> {
  const { store, vbd, plan, options } = attachment;
  const { locator, writable, layer } = plan.request;
  const wanted = sharingRequest(attachment.device, {
    subject: 'path' in locator ? showPath(locator.path) : undefined,
    writable,
    sharing: sharingOf(attachment),
    encrypted: layer?.kind === 'crypt',
    domid: vbd.domid,
  });
  await lock.requireFree(wanted, {
    store,
    uses: usesOf(attachment),
    storageLookup: options.storageLookup ?? directLookup,
    runDirectory: options.runDirectory,
    own: vbd,
    sameVm: options.sameVm ?? 'check',
    signal,
  });
}

/** Returns the source of what other vbds have. */
export function usesOf({ store, options }: Attachment): VbdUses {
  return options.uses ?? readVbdUses(store, new OpenVbds(options.sysfs));
}

/** Returns the uses that the attach tolerates. */
export function sharingOf({ plan, options }: Attachment): Sharing {
  return plan.sharing ?? options.sharing ?? 'deny';
}
