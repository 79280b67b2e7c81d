import { openPinned, pinLocator } from '../block/open-export.js';
import { errorCode } from '../errors.js';
import { type Devnum, sameDevnum } from '../linux/devnum.js';
import { listUsesAndOpens } from '../sharing/pending-opens.js';
import { SharingLock } from '../sharing/sharing-lock.js';
import type { Step } from '../util/steps.js';
import { requireDeviceClosed } from '../vbd/await-device-opened.js';
import { awaitInitWait } from '../vbd/await-init-wait.js';
import { isUnpublished, publish, toPublication } from '../vbd/publish-device.js';
import { readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import { VbdInstance } from '../vbd/vbd-instance.js';
import { announceOpen } from './announce-open.js';
import type { AttachStep } from './attach-options.js';
import type { Attachment } from './attachment.js';
import { describeDevice, publishedSteps } from './published-steps.js';
import { recordUndoing } from './record-undoing.js';
import { requireNoConflict, sharingOf, usesOf } from './require-no-conflict.js';
import { withdrawPublication } from './withdraw-publication.js';

/** Returns the steps that attach a vbd that names no device yet, up to the device's release. */
export function attachSteps(attachment: Attachment): Step<AttachStep>[] {
  return [
    awaitInstance(attachment),
    takeSharingLock(attachment),
    openDevice(attachment),
    requireNoConflict(attachment),
    recordUndoing(attachment),
    announceOpen(attachment),
    publishDevice(attachment),
    ...publishedSteps(attachment),
  ];
}

function awaitInstance(attachment: Attachment): Step<AttachStep> {
  const { store, vbd, signal } = attachment;
  return {
    name: 'ready',
    waitsFor: `${vbd.backend}/state to become 2 (InitWait): is xen-blkback loaded?`,
    run: async () => {
      const instance = await pinReady(attachment, attachment.backend).catch(async (error) => {
        if (errorCode(error) !== 'ESYSFS') throw error;
        // The nodes may be those of an instance that has ended since. Then the vbd is gone, or made
        // anew and not ready yet.
        return await pinReady(
          attachment,
          await readVbdBackend(store, vbd, { nodes: READY, signal }),
        );
      });
      try {
        requireDeviceClosed(instance);
      } catch (error) {
        await instance[Symbol.asyncDispose]();
        throw error;
      }
      attachment.instance = instance;
      return 'state 2 (InitWait)';
    },
    undo: () => attachment.instance[Symbol.asyncDispose](),
  };
}

/** The nodes that tell whether blkback is ready for a device, with `opened` after `state`. */
const READY = ['frontend', 'state', 'opened'] as const;

/** Waits until blkback is ready for a device, and pins the instance that it has then. */
async function pinReady(attachment: Attachment, seen: VbdBackend): Promise<VbdInstance> {
  const { store, vbd, signal, options } = attachment;
  const backend = await awaitInitWait(store, vbd, seen, signal);
  return await VbdInstance.pin(options.sysfs, vbd, backend);
}

/** Locks before the open, as the loop device of another add would count as a use of the bytes. */
function takeSharingLock(attachment: Attachment): Step<AttachStep> {
  const { plan, options, signal } = attachment;
  return {
    name: 'locked',
    waitsFor: 'other adds of the same bytes',
    run: async () => {
      const pinned = await pinLocator(plan.request.locator, signal);
      try {
        const terms = {
          runDirectory: options.runDirectory,
          exclusive: plan.request.writable,
          checked: sharingOf(attachment) !== 'allow',
        };
        attachment.sharingLock = await SharingLock.acquire(
          pinned,
          plan.request.file,
          terms,
          signal,
        );
      } catch (error) {
        await pinned.fd.close();
        throw error;
      }
      attachment.pinned = pinned;
      return '';
    },
    undo: async () => {
      await attachment.pinned.fd.close();
      await attachment.sharingLock[Symbol.asyncDispose]();
    },
  };
}

function openDevice(attachment: Attachment): Step<AttachStep> {
  const { plan, signal } = attachment;
  return {
    name: 'opened',
    waitsFor: 'the device to open',
    run: async () => {
      const findNamed = (numbers: readonly Devnum[]) => findNamedDevices(attachment, numbers);
      const device = await openPinned(attachment.pinned, plan.request, { signal, findNamed });
      attachment.device = device;
      attachment.pinned.fd.closeNow();
      return describeDevice(device);
    },
    undo: () => attachment.device[Symbol.asyncDispose](),
  };
}

/**
 * Returns those of some device numbers that a vbd has or is about to get. After an add was killed
 * after its publication, the kernel calls the number of its loop device or layer free. A stock
 * blkback may have opened the loop device all the same, as an empty disk, or may still open the
 * number. A device that is made with the number now would become the disk of that guest.
 */
async function findNamedDevices(
  attachment: Attachment,
  numbers: readonly Devnum[],
): Promise<Devnum[]> {
  const { runDirectory } = attachment.options;
  const query = { runDirectory, signal: attachment.signal, numbers };
  const { uses, pending } = await listUsesAndOpens(usesOf(attachment), query);
  const named = [...pending, ...uses];
  return numbers.filter((number) => named.some(({ devnum }) => sameDevnum(devnum, number)));
}

function publishDevice(attachment: Attachment): Step<AttachStep> {
  const { store, backend, options, signal } = attachment;
  return {
    name: 'published',
    waitsFor: 'XenStore to take the device',
    run: async () => {
      const { device, instance, sharingLock } = attachment;
      await device.verify(signal);
      requireDeviceClosed(instance);
      attachment.publication = toPublication(device, options.uapi);
      let isSent = false;
      const onCommit = (): void => {
        isSent = true;
      };
      try {
        await publish(store, instance, backend, attachment.publication, { signal, onCommit });
      } catch (error) {
        // It is unknown whether xenstored has carried the transaction out.
        if (isSent && !isUnpublished(error)) await withdrawPublication(attachment);
        throw error;
      }
      // From here on, every other add finds the publication in XenStore.
      await sharingLock[Symbol.asyncDispose]();
      await attachment.recordLock?.[Symbol.asyncDispose]();
      return attachment.publication['physical-device'];
    },
    undo: () => withdrawPublication(attachment),
  };
}
