import { stat } from 'node:fs/promises';
import { isLoopBound, unbindLoop, waitLoopUnbound } from '../block/loop/release-loop.js';
import { layerBase, listLayers, waitLayersGone } from '../block/mapper/release-layer.js';
import { refreshUdev } from '../block/refresh-udev.js';
import { errorCode } from '../errors.js';
import { formatDevnum, LOOP_MAJOR } from '../linux/devnum.js';
import { parseTarget } from '../target/target.js';
import { readPresentDiskseq } from '../topology/stacked-block.js';
import { poll } from '../util/poll.js';
import { type PublishedDevice, readPublishedLeniently } from '../vbd/published-device.js';
import { readRecord, removeRecord, type VbdRecord } from '../vbd/record.js';
import { XenBackendDevice } from '../vbd/sysfs-directory.js';
import { readVbdBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { Deadline } from './deadline.js';
import { HotplugError } from './hotplug-error.js';
import { layerOwner } from './plan.js';
import { reportFailure } from './report.js';

export interface DetachOptions {
  /** Everything included; milliseconds. */
  readonly timeoutMs: number;
  readonly sysfs: string;
  readonly runDirectory: string;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: DetachStep, detail: string) => void) | undefined;
}

export type DetachStep = 'planned' | 'closed' | 'released' | 'removed';

/** What is known of the device that is being given back. */
interface Departing {
  readonly record: VbdRecord | undefined;
  readonly published: PublishedDevice | undefined;
  /** A loop device that was made for this vbd. */
  readonly ownLoop: boolean;
  /** Whether blkback had a layer of ours, over the device, and not the device itself. */
  readonly layered: boolean;
}

/**
 * Detaches a vbd: waits until blkback has closed the device, undoes what the kernel does not undo by
 * itself, and removes our nodes. Works when the backend directory is gone already, and when nothing
 * was attached. Throws `EONLINE` while the vbd is in use, `EHELD` or `ETIMEDOUT` at the deadline.
 */
export async function detach(store: Xenstore, vbd: VbdPath, options: DetachOptions): Promise<void> {
  using deadline = new Deadline(options.timeoutMs, options.signal);
  try {
    await giveBack(store, vbd, options, deadline.signal);
  } catch (error) {
    // A vbd that is in use is well, and its nodes are to go on saying so.
    if (errorCode(error) !== 'EONLINE') {
      const signal = deadline.rollback();
      await reportFailure(store, vbd, error, { signal }).catch(() => undefined);
    }
    throw error;
  }
}

async function giveBack(
  store: Xenstore,
  vbd: VbdPath,
  options: DetachOptions,
  signal: AbortSignal,
): Promise<void> {
  const backend = await readVbdBackend(store, vbd, { signal });
  const departing = await takeStock(vbd, backend, options.runDirectory);
  options.onStep?.('planned', describe(departing));
  await requireOffline(vbd, backend, options.sysfs);
  await waitClosed(vbd, options, signal);
  options.onStep?.('closed', vbd.sysfsName);
  // Always looked for: one that was never published is left where an `add` was killed.
  await waitLayersGone(layerOwner(vbd), signal);
  await release(departing, signal);
  options.onStep?.('released', describe(departing));
  await removeNodes(store, vbd, signal);
  await removeRecord(options.runDirectory, vbd);
  options.onStep?.('removed', vbd.backend);
}

async function takeStock(
  vbd: VbdPath,
  backend: VbdBackend,
  runDirectory: string,
): Promise<Departing> {
  const record = await readRecord(runDirectory, vbd);
  const [layer] = await listLayers(layerOwner(vbd));
  const base = layer && layerBase(layer);
  // What a layer stands on is not in XenStore, and cannot become another device while it does.
  const published = base
    ? { devnum: base, diskseq: readPresentDiskseq(base), path: undefined }
    : readPublishedLeniently(vbd, backend);
  const ownLoop = record?.unbind ?? (await isOwnLoop(published, backend));
  return { record, published, ownLoop, layered: layer !== undefined };
}

/** A published loop device is ours if the target is a file, or was one: nobody else sets up loops. */
async function isOwnLoop(
  published: PublishedDevice | undefined,
  backend: VbdBackend,
): Promise<boolean> {
  const params = backend.bytes('params');
  if (published?.devnum.major !== LOOP_MAJOR || params === undefined) return false;
  try {
    const { locator } = parseTarget(params);
    if (locator.by !== 'path') return false;
    const found = await stat(locator.path).catch(() => undefined);
    return found === undefined || !found.isBlockDevice();
  } catch {
    return false;
  }
}

/** A guest that reboots closes its frontend too; with `online` 1 its disk stays where it is. */
async function requireOffline(vbd: VbdPath, backend: VbdBackend, sysfs: string): Promise<void> {
  if (backend.text('online') !== '1') return;
  await using kernel = await XenBackendDevice.pin(sysfs, vbd.sysfsName);
  const open = await kernel?.readPhysicalDevice();
  if (open === undefined) return;
  throw new HotplugError(
    `${vbd.backend} is online (state ${backend.text('state')}) and blkback has device ${open} (hex) open: detach it with the toolstack first (xl block-detach)`,
    { code: 'EONLINE' },
  );
}

/** The attribute goes when the vbd is unregistered, shortly before the device is closed. */
async function waitClosed(
  vbd: VbdPath,
  options: DetachOptions,
  signal: AbortSignal,
): Promise<void> {
  await using kernel = await XenBackendDevice.pin(options.sysfs, vbd.sysfsName);
  if (kernel === undefined) return;
  try {
    await poll(signal, async () => (await kernel.readPhysicalDevice()) === undefined || undefined);
  } catch (error) {
    if (error !== signal.reason || errorCode(error) !== 'ETIMEDOUT') throw error;
    const open = await kernel.readPhysicalDevice();
    throw new HotplugError(
      `blkback still has device ${open} (hex) open for ${vbd.sysfsName} after ${options.timeoutMs / 1000} s`,
      { code: 'ETIMEDOUT', cause: error },
    );
  }
}

async function release(departing: Departing, signal: AbortSignal): Promise<void> {
  const { record, published, ownLoop } = departing;
  const device = record ?? published;
  if (device === undefined) return;
  const { devnum, diskseq } = device;
  if (!ownLoop) {
    await refreshUdev(devnum);
    return;
  }
  if (diskseq === undefined) return;
  const loop = { devnum, diskseq };
  if (record?.unbind && (await isLoopBound(loop))) await unbindLoop({ ...loop, path: record.path });
  await waitLoopUnbound(loop, signal);
}

/** Leaves the directory as the toolstack made it, so that it can be attached to anew. */
async function removeNodes(store: Xenstore, vbd: VbdPath, signal: AbortSignal): Promise<void> {
  const nodes = [
    'physical-device',
    'physical-device-path',
    'diskseq',
    'hotplug-status',
    'hotplug-error',
  ];
  await store.transact(
    [
      { op: 'exists', path: vbd.backend },
      ...nodes.map((node) => ({ op: 'remove' as const, path: backendNode(vbd, node) })),
    ],
    { signal },
  );
}

function describe({ record, published, ownLoop, layered }: Departing): string {
  const device = record ?? published;
  if (device === undefined) return 'no device is attached';
  const what = `${ownLoop ? 'our loop device' : 'device'} ${formatDevnum(device.devnum)}`;
  return layered ? `the layer over ${what}` : what;
}
