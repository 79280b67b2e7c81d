import { unbindLoop, waitLoopUnbound } from '../block/loop/release-loop.js';
import { waitLayersGone } from '../block/mapper/release-layer.js';
import { refreshUdev } from '../block/refresh-udev.js';
import { errorCode } from '../errors.js';
import { removeMapper } from '../linux/device-mapper.js';
import { type Devnum, formatDevnumHex, sameDevnum } from '../linux/devnum.js';
import { isSystemError } from '../linux/errno.js';
import type { MapperState } from '../linux/mapper-state.js';
import { poll } from '../util/poll.js';
import type { Step } from '../util/steps.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { readRecordLeniently, removeRecord } from '../vbd/record.js';
import { isMadeAnew } from '../vbd/vbd-directory.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { awaitMapperClosed } from './await-mapper-closed.js';
import type { DetachOptions, DetachStep } from './detach.js';
import { type Detachment, describeDetachment } from './detachment.js';
import { HotplugError } from './hotplug-error.js';
import { layerOwner } from './plan.js';
import { removeNodes } from './remove-nodes.js';
import { withdrawUnanswered } from './withdraw-unanswered.js';

/** How long blkback may take to end a vbd whose guest has just closed its end; milliseconds. */
const ENDING_MS = 500;

/** Returns the steps of a detach. They undo before they wait, so a vain wait leaves nothing behind. */
export function detachSteps(
  store: Xenstore,
  detachment: Detachment,
  options: DetachOptions,
  signal: AbortSignal,
): Step<DetachStep>[] {
  const { vbd } = detachment;
  return [
    {
      name: 'withdrawn',
      waitsFor: 'XenStore',
      run: () => withdrawUnanswered(store, detachment, options, signal),
    },
    {
      name: 'unbound',
      waitsFor: 'the loop driver',
      run: () => removeWithLastClose(detachment, signal),
    },
    {
      name: 'closed',
      waitsFor: 'blkback to close the device',
      run: async () => {
        const what = await awaitClosed(detachment, options, signal);
        await detachment.mark?.close();
        return what;
      },
    },
    {
      name: 'released',
      waitsFor: 'the device to close',
      run: async () => {
        await awaitReleased(detachment, options, signal);
        return describeDetachment(detachment);
      },
    },
    {
      name: 'refreshed',
      waitsFor: 'sysfs',
      run: async () => {
        const { published, loop } = detachment;
        // udev would read a disk to which a guest may be writing.
        if (isHeldByBlkback(detachment)) return '';
        const isWanted = options.udevRefresh && loop === undefined;
        if (isWanted && published) tellUdev(published.devnum, options.sysfs);
        return '';
      },
    },
    {
      name: 'removed',
      waitsFor: 'XenStore',
      run: async () => {
        // While blkback has the device open, XenStore goes on saying so.
        if (!detachment.closesWithNodes) await removeNodes(store, detachment, options, signal);
        // A record that was written meanwhile belongs to a vbd that was made anew.
        const record = readRecordLeniently(options.runDirectory, vbd);
        const isNewer = record !== undefined && record.diskseq !== detachment.record?.diskseq;
        if (!isNewer) removeRecord(options.runDirectory, vbd);
        return vbd.backend;
      },
    },
  ];
}

/** Makes the last close remove what was made for the vbd, unless the kernel does so anyway. */
async function removeWithLastClose(
  { layers, loop }: Detachment,
  signal: AbortSignal,
): Promise<string> {
  for (const { name, deferredRemove } of layers) {
    if (deferredRemove) continue;
    // The number may be that of another mapper device by now. The name has a random part.
    await removeMapper({ name }, true, signal).catch((error: unknown) => {
      if (!isSystemError(error, 'ENXIO')) throw error;
    });
  }
  if (loop === undefined || loop.autoclear) return '';
  await unbindLoop(loop, signal);
  return loop.path;
}

/** Waits until the kernel ends the vbd and `physical_device` goes, which is just before the close. */
async function awaitClosed(
  { vbd, directory, closesWithNodes }: Detachment,
  options: DetachOptions,
  signal: AbortSignal,
): Promise<string> {
  if (directory === undefined) return vbd.sysfsName;
  const isClosed = async (): Promise<true | undefined> =>
    directory.readOpenDevice() === undefined || undefined;
  if (closesWithNodes) {
    // The guest may have closed its end a moment ago. Then blkback ends the vbd by itself.
    const soon = AbortSignal.any([signal, AbortSignal.timeout(ENDING_MS)]);
    await poll(soon, isClosed).catch(() => signal.throwIfAborted());
    return '';
  }
  try {
    await poll(signal, isClosed);
    return vbd.sysfsName;
  } catch (error) {
    if (error !== signal.reason || errorCode(error) !== 'ETIMEDOUT') throw error;
    const open = directory.readOpenDevice();
    throw new HotplugError(
      `blkback still has device ${open ? formatDevnumHex(open) : '?'} (hex) open for ${vbd.sysfsName} after ${options.timeoutMs / 1000} s`,
      { code: 'ETIMEDOUT', cause: error },
    );
  }
}

/** Returns whether blkback may still open the device, or keeps it until the nodes are deleted. */
function isHeldByBlkback({ directory, closesWithNodes, pendingOpen }: Detachment): boolean {
  return pendingOpen || (closesWithNodes && directory?.readOpenDevice() !== undefined);
}

/** Makes udev look at a disk again. Does nothing where nobody knows which devices guests use. */
function tellUdev(devnum: Devnum, sysfs: string): void {
  try {
    const open = new OpenVbds(sysfs).list();
    refreshUdev(
      devnum,
      open.map((vbd) => vbd.devnum),
    );
  } catch {
    // The detach has succeeded all the same.
  }
}

/**
 * Waits until the layers of the vbd are gone, its loop device is unbound, and a mapper device that
 * was not made for the vbd is closed. A vbd may have both: what an earlier vbd of its name has left,
 * and a mapper device of its own target.
 */
async function awaitReleased(
  detachment: Detachment,
  { sysfs }: DetachOptions,
  signal: AbortSignal,
): Promise<void> {
  const { vbd, backend, directory, loop, published, layers } = detachment;
  if (isHeldByBlkback(detachment)) return;
  const found = new Set(layers.map(({ uuid }) => uuid));
  // A killed `add` can leave a layer that was never published, and that turns up late. Once the vbd
  // has been made anew, such a layer is one that an add of the new vbd is about to open.
  const isMeant = ({ uuid }: MapperState): boolean =>
    found.has(uuid) || (backend.exists && !isMadeAnew(sysfs, vbd.sysfsName, directory));
  await waitLayersGone(layerOwner(vbd), isMeant, signal);
  if (loop !== undefined) await waitLoopUnbound(loop, signal);
  if (published === undefined) return;
  if (layers.some(({ devnum }) => sameDevnum(devnum, published.devnum))) return;
  await awaitMapperClosed(published, new OpenVbds(sysfs), signal);
}
