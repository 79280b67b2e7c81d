import { layerBase, listLayers } from '../block/mapper/release-layer.js';
import { type Devnum, formatDevnum } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import type { MapperState } from '../linux/mapper-state.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { type PublishedDevice, tryReadPublishedDevice } from '../vbd/published-device.js';
import { readRecordLeniently, type VbdRecord } from '../vbd/record.js';
import { readVbdBackend, VbdBackend } from '../vbd/vbd-backend.js';
import { isMadeAnew, VbdDirectory } from '../vbd/vbd-directory.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { XenbusState } from '../vbd/xenbus-state.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { findOwnLoop, type OwnLoop } from './own-loop.js';
import { layerOwner } from './plan.js';

/** The facts about a vbd that is being detached, as they were when the detach began. */
export interface Detachment {
  readonly vbd: VbdPath;
  /** The nodes of the instance; none if the vbd was made anew while they were read. */
  readonly backend: VbdBackend;
  readonly wasMadeAnew: boolean;
  /** The instance that the kernel has; `undefined` where the kernel has none any more. */
  readonly directory: VbdDirectory | undefined;
  /** The device that blkback had open. */
  readonly open: Devnum | undefined;
  readonly published: PublishedDevice | undefined;
  /** Mapper devices that were made for the vbd. */
  readonly layers: readonly MapperState[];
  /** The vbd's record in the run directory. It is only a hint. */
  readonly record: VbdRecord | undefined;
  /** The loop device that was made for the vbd. */
  readonly loop: OwnLoop | undefined;
  /**
   * Whether blkback may still open the published device, and is not done with the vbd. A process
   * that holds the device for blkback (`holdDevice`) ends with the vbd. This is known once the
   * publication has been taken back.
   */
  pendingOpen: boolean;
  /**
   * The lock that says that blkback may open the device, once the publication is about to be taken
   * back. It is held until blkback has closed the device: others who look meanwhile see either the
   * publication, or the lock, or the open device. The detach closes it in any case.
   */
  mark: OwnedFd | undefined;
  /**
   * Whether blkback closes the device only when the toolstack deletes the nodes, after this program
   * has ended. This is so where the guest closed its end long ago, while its vbd was to stay:
   * blkback hears nothing more from the guest (drivers/block/xen-blkback/xenbus.c,
   * frontend_changed).
   */
  readonly closesWithNodes: boolean;
}

/** Looks at everything that may be left of a vbd. The caller owns `directory`. */
export async function collectDetachment(
  store: Xenstore,
  vbd: VbdPath,
  place: { readonly sysfs: string; readonly runDirectory: string },
  options: RequestOptions,
): Promise<Detachment> {
  // The record and the layers are read before the nodes. If the nodes are gone by then, neither can
  // belong to a vbd that is made anew meanwhile.
  const record = readRecordLeniently(place.runDirectory, vbd);
  const layers = await listLayers(layerOwner(vbd), options.signal);
  const pinned = await VbdDirectory.pin(place.sysfs, vbd.sysfsName);
  // A sysfs that shows no vbd at all does not mean that blkback has nothing open.
  if (pinned === undefined) new OpenVbds(place.sysfs).list();
  try {
    const nodes = await readVbdBackend(store, vbd, options);
    // If the vbd was made anew, the nodes that were read may belong to the new instance.
    const wasMadeAnew = isMadeAnew(place.sysfs, vbd.sysfsName, pinned);
    const backend = wasMadeAnew ? new VbdBackend(new Map(), undefined) : nodes;
    // An instance that is just ending shows no open device, like one that blkback never opened. The
    // kernel takes it off the bus first, so a look at the bus that comes second tells them apart.
    const lastOpen = pinned?.readOpenDevice();
    const directory = pinned?.isCurrent() ? pinned : undefined;
    const open = directory && lastOpen;
    if (directory === undefined) await pinned?.[Symbol.asyncDispose]();
    const published = tryReadPublishedDevice(vbd, backend);
    const base = layers[0] && layerBase(layers[0]);
    const loop = await findOwnLoop({ backend, record, base, published });
    const closesWithNodes = open !== undefined && backend.text('state') === XenbusState.Closed;
    const found = { vbd, backend, wasMadeAnew, directory, open, published, layers, record, loop };
    return { ...found, pendingOpen: false, mark: undefined, closesWithNodes };
  } catch (error) {
    await pinned?.[Symbol.asyncDispose]();
    throw error;
  }
}

/** Describes for people what is being given back. */
export function describeDetachment({ published, layers, loop }: Detachment): string {
  const devnum = loop?.devnum ?? published?.devnum;
  if (devnum === undefined) return 'no device is attached';
  const what = `${loop ? 'our loop device' : 'device'} ${formatDevnum(devnum)}`;
  return layers.length > 0 ? `the layer over ${what}` : what;
}
