import {
  type BlockDevice,
  type OpenDeviceOptions,
  openBlockDevice,
} from '../block/block-device.js';
import { pinNode } from '../block/locate-disk.js';
import { isLayerOf, layerBase } from '../block/mapper/release-layer.js';
import { checkVerity } from '../block/mapper/verity.js';
import { type ExportRequest, pinLocator } from '../block/open-export.js';
import { errorMessage } from '../errors.js';
import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import { findBlock } from '../linux/sysfs.js';
import { withOwnership } from '../util/with-ownership.js';
import type { PublishedDevice } from '../vbd/published-device.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { HotplugError } from './hotplug-error.js';
import { otherOpenMode } from './open-mode.js';

/**
 * Opens the device that is published already, and makes sure that it is the one that the target
 * asks for. This makes a second `add` a success, and holds a device that a killed `add` has
 * published while blkback opens it. Throws `EPUBLISHED` where the published device is another one,
 * is gone, or is used in another mode than the vbd asks for.
 *
 * @param isOpen whether blkback has the device open.
 * @param openMode the mode in which blkback has it open, if that is known.
 */
export async function openPublished(
  vbd: VbdPath,
  published: PublishedDevice,
  request: ExportRequest,
  { isOpen, openMode, signal }: PublishedUse,
): Promise<BlockDevice> {
  const refuse = (why: string, cause?: unknown): HotplugError =>
    new HotplugError(
      `${vbd.backend} already has physical-device ${formatDevnum(published.devnum)}, and ${why}; it has to be removed first`,
      { code: 'EPUBLISHED', cause },
    );
  // A device that blkback has open cannot have become another device; any other device could have.
  if (published.diskseq === undefined && !isOpen) {
    throw refuse('it was not published by this program (there is no diskseq with it)');
  }
  const mode = otherOpenMode(openMode, request);
  if (mode !== undefined) {
    throw refuse(`blkback has it open ${mode.found}, while the mode is ${mode.planned} now`);
  }
  try {
    const requested = await pinLocator(request.locator, signal);
    await using wanted = requested.fd;
    const ownLoop = requested.kind === 'file';
    const top = await openByNumber(published.devnum, request.writable, {
      ownLoop: ownLoop && request.layer === undefined,
      mayBeEmpty: ownLoop && request.drive !== undefined,
      signal,
    });
    const device = await withOwnership(top, () => withBase(top, request, { ownLoop, signal }));
    return await withOwnership(device, async () => {
      const { diskseq } = device.identity;
      if (published.diskseq !== undefined && diskseq !== published.diskseq && !isOpen) {
        throw refuse(`it is another device by now (diskseq ${diskseq}, not ${published.diskseq})`);
      }
      const { bottom } = device;
      if (!isRequested(bottom, wanted, request)) {
        throw refuse('that is not what params asks for');
      }
      const { mapper } = bottom.identity;
      if (mapper && request.verityRoot) await checkVerity(bottom, mapper, request.verityRoot);
      return device;
    });
  } catch (error) {
    if (error instanceof HotplugError || error === signal.reason) throw error;
    throw refuse(`it cannot be compared with what params asks for (${errorMessage(error)})`, error);
  }
}

/** What blkback makes of a published device. */
interface PublishedUse {
  readonly isOpen: boolean;
  readonly openMode: string | undefined;
  readonly signal: AbortSignal;
}

/** Opens the kernel's own node of a device number. Names and links may lead elsewhere by now. */
async function openByNumber(
  devnum: Devnum,
  writable: boolean,
  options: OpenDeviceOptions,
): Promise<BlockDevice> {
  await using node = await pinNode(findBlock(devnum).directory, options.signal);
  return await openBlockDevice(node, writable, options);
}

/**
 * Returns the layer with the device below it, if the target asks for a layer and the device is that
 * layer. Returns the device alone otherwise.
 */
async function withBase(
  top: BlockDevice,
  { layer }: ExportRequest,
  options: OpenDeviceOptions,
): Promise<BlockDevice> {
  const { mapper } = top.identity;
  const base = mapper && layerBase(mapper);
  if (layer === undefined || mapper === undefined || base === undefined) return top;
  if (!isLayerOf(mapper, layer.owner) || mapper.targets[0]?.type !== layer.kind) return top;
  return top.over(await openByNumber(base, false, options));
}

/**
 * Tells whether an open device is what `wanted` is: that very device, or a loop device over that
 * file.
 */
function isRequested(
  device: BlockDevice,
  wanted: OwnedFd,
  { locator, file, diskseq: expected }: ExportRequest,
): boolean {
  const stat = wanted.inode;
  const { devnum, diskseq, loop } = device.identity;
  if (!device.ownLoop) {
    const number = 'diskseq' in locator ? locator.diskseq : (expected ?? diskseq);
    return sameDevnum(devnumFromStat(stat.rdev), devnum) && diskseq === number;
  }
  return (
    loop?.device === stat.dev &&
    loop.inode === stat.ino &&
    loop.offset === file.offset &&
    loop.sizeLimit === (file.size ?? 0n)
  );
}
