import { sameDevnum } from '../linux/devnum.js';
import type { Step } from '../util/steps.js';
import { withOwnership } from '../util/with-ownership.js';
import { throwIfClosing } from '../vbd/await-device-opened.js';
import { requireNamedAsSeen, toPublication } from '../vbd/publish-device.js';
import type { PublishedDevice } from '../vbd/published-device.js';
import { VbdInstance } from '../vbd/vbd-instance.js';
import { announceOpen } from './announce-open.js';
import type { AttachStep } from './attach-options.js';
import type { Attachment } from './attachment.js';
import { openPublished } from './open-published.js';
import { describeDevice, publishedSteps } from './published-steps.js';
import { recordUndoing } from './record-undoing.js';
import { requireNoConflictAgain } from './require-no-conflict.js';
import { withdrawPublication } from './withdraw-publication.js';

/**
 * Returns the steps for a vbd that names a device already. Another add was killed after its
 * publication, or failed while blkback had the device, or another script has attached the vbd. If
 * the device is the one that the target asks for, the steps see the attach through with this
 * device.
 */
export function adoptSteps(attachment: Attachment, published: PublishedDevice): Step<AttachStep>[] {
  return [
    pinInstance(attachment, published),
    openAgain(attachment, published),
    // Another add may have been killed before its record, or its record is about a device that is gone.
    recordUndoing(attachment),
    announceOpen(attachment),
    adoptPublication(attachment),
    requireNoConflictAgain(attachment),
    ...publishedSteps(attachment),
  ];
}

function pinInstance(attachment: Attachment, published: PublishedDevice): Step<AttachStep> {
  const { store, vbd, backend, options, signal } = attachment;
  return {
    name: 'ready',
    waitsFor: 'sysfs',
    run: async () => {
      const instance = await VbdInstance.pin(options.sysfs, vbd, backend);
      const open = await withOwnership(instance, async () => {
        // The nodes that were read may be those of an instance that has ended since.
        await requireNamedAsSeen(store, vbd, backend, { signal });
        return instance.directory.readOpenDevice();
      });
      attachment.instance = instance;
      attachment.isServed =
        open !== undefined &&
        sameDevnum(open, published.devnum) &&
        backend.text('hotplug-status') === 'connected';
      return '';
    },
    undo: () => attachment.instance[Symbol.asyncDispose](),
  };
}

function openAgain(attachment: Attachment, published: PublishedDevice): Step<AttachStep> {
  const { vbd, plan, backend, signal } = attachment;
  return {
    name: 'opened',
    waitsFor: 'the device to open',
    run: async () => {
      // A failed attach has asked for the end of the vbd, and that request stands.
      if (backend.text('online') === '0') throwIfClosing(vbd, backend);
      const { directory } = attachment.instance;
      const isOpen = directory.readOpenDevice() !== undefined;
      const openMode = directory.readOpenMode();
      const device = await openPublished(vbd, published, plan.request, {
        isOpen,
        openMode,
        signal,
      });
      attachment.device = device;
      return describeDevice(device);
    },
    undo: () => attachment.device[Symbol.asyncDispose](),
  };
}

function adoptPublication(attachment: Attachment): Step<AttachStep> {
  const { backend, options } = attachment;
  return {
    name: 'published',
    waitsFor: 'nothing',
    run: async () => {
      await attachment.recordLock?.[Symbol.asyncDispose]();
      const publication = toPublication(attachment.device, options.uapi);
      // The device may have been published in the other dialect, and under another name.
      const text = backend.text('physical-device') ?? publication['physical-device'];
      attachment.publication = { ...publication, 'physical-device': text };
      return '';
    },
    undo: async () => {
      if (!attachment.isServed) await withdrawPublication(attachment);
    },
  };
}
