import type { BlockDevice } from '../block/block-device.js';
import { errorMessage } from '../errors.js';
import { removeMapper } from '../linux/device-mapper.js';
import { formatDevnum } from '../linux/devnum.js';
import { clearLoop, keepBound } from '../linux/loop-ioctl.js';
import type { Step } from '../util/steps.js';
import { awaitDeviceOpened } from '../vbd/await-device-opened.js';
import type { AttachStep } from './attach-options.js';
import type { Attachment } from './attachment.js';
import { explainBlkbackRefusal } from './explain-refusal.js';
import { HotplugError } from './hotplug-error.js';
import { otherOpenMode } from './open-mode.js';
import { reportConnected } from './report-to-toolstack.js';

/** Returns the steps from the publication to the moment at which blkback alone has the device. */
export function publishedSteps(attachment: Attachment): Step<AttachStep>[] {
  return [
    awaitBlkback(attachment),
    keepLoopBound(attachment),
    report(attachment),
    markForRemoval(attachment),
    release(attachment),
  ];
}

function awaitBlkback(attachment: Attachment): Step<AttachStep> {
  const { store, signal } = attachment;
  return {
    name: 'connected',
    get waitsFor() {
      return `blkback to open ${attachment.device.path}`;
    },
    run: async () => {
      const { instance, device } = attachment;
      const { writable } = attachment.plan.request;
      const by = await awaitDeviceOpened(store, instance, device.identity.devnum, signal).catch(
        async (error: unknown) => {
          throw writable ? await explainBlkbackRefusal(error, device) : error;
        },
      );
      attachment.openedBy = by;
      await device.verify(signal);
      requireMode(attachment);
      return `blkback has it open, as ${by} tells`;
    },
  };
}

/**
 * Throws `EMODE` where blkback has opened the device in another mode than the one that other uses were
 * checked for.
 */
function requireMode({ vbd, plan, instance, device }: Attachment): void {
  const mode = otherOpenMode(instance.directory.readOpenMode(), plan.request);
  if (mode === undefined) return;
  throw new HotplugError(
    `blkback has opened ${device.path} ${mode.found} for ${vbd.backend}, whose mode was ${mode.planned} when the attach began: it has been changed meanwhile; detach the vbd and attach it again`,
    { code: 'EMODE' },
  );
}

/**
 * Lets a loop device of ours stay bound if the target says so, because blkback's own reference
 * keeps it bound now. Until this step, the loop device clears itself, whatever happens.
 */
function keepLoopBound(attachment: Attachment): Step<AttachStep> {
  const { signal } = attachment;
  const applies = (): boolean =>
    attachment.device.bottom.ownLoop && !attachment.plan.target.autoclear && !attachment.isServed;
  return {
    name: 'kept',
    waitsFor: 'the loop driver',
    run: async () => {
      if (!applies()) return '';
      const onAbandoned = (): void => {
        attachment.mayStayBound = true;
      };
      // The driver asks the file, and its server may be gone.
      await keepBound(attachment.device.bottom.fd, { signal, onAbandoned });
      return '';
    },
    undo: async () => {
      // The loop device of an add that has succeeded stays bound, and the record says so.
      if (!applies() || attachment.mayBeServedByOther) return;
      // This asks no file. While others have the device open, it only switches autoclear on.
      const limit = attachment.deadline.rollback();
      await clearLoop(attachment.device.bottom.fd, limit).catch(() => undefined);
    },
  };
}

function report(attachment: Attachment): Step<AttachStep> {
  const { store, vbd, signal } = attachment;
  return {
    name: 'reported',
    waitsFor: 'XenStore to take hotplug-status',
    run: async () => {
      const confirm = (): boolean => attachment.instance.directory.isCurrent();
      await reportConnected(store, vbd, attachment.publication, { signal, confirm });
      return '';
    },
  };
}

/**
 * Marks a device for removal. This comes last, because the device is not ours to remove if the
 * attach fails. A failure to mark it is only told as a warning: the vbd is served, as the guest has
 * its disk by now.
 */
function markForRemoval(attachment: Attachment): Step<AttachStep> {
  const { vbd, plan, warnings, signal } = attachment;
  return {
    name: 'marked',
    waitsFor: 'device-mapper',
    run: async () => {
      if (!plan.target.deferredRemove) return '';
      const { identity, path } = attachment.device.bottom;
      try {
        await removeMapper({ devnum: identity.devnum }, true, signal);
        return `${path} goes with its last close`;
      } catch (error) {
        warnings.push(
          `${vbd.backend}: ${path} is attached, but could not be marked for deferred removal: ${errorMessage(error)}`,
        );
        return '';
      }
    },
  };
}

function release(attachment: Attachment): Step<AttachStep> {
  return {
    name: 'released',
    waitsFor: 'the device to close',
    run: async () => {
      const { device, instance } = attachment;
      await device.close();
      await attachment.mark?.close();
      await instance[Symbol.asyncDispose]();
      return device.path;
    },
  };
}

/** Describes a device for people: its path, number and sequence number. */
export function describeDevice({ identity, path }: BlockDevice): string {
  return `${path}, device ${formatDevnum(identity.devnum)}, diskseq ${identity.diskseq}`;
}
