import { type BlockDevice, openBlockDevice } from '../block/block-device.js';
import { pinNode } from '../block/locate-disk.js';
import { isLayerOf, layerBase } from '../block/mapper/release-layer.js';
import { checkVerity } from '../block/mapper/verity.js';
import { type ExportRequest, pinLocator } from '../block/open-export.js';
import { pinPath } from '../block/open-path.js';
import { errorMessage } from '../errors.js';
import { devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import { findBlock } from '../linux/sysfs.js';
import { handOver } from '../util/hand-over.js';
import type { PublishedDevice } from '../vbd/published-device.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { HotplugError } from './hotplug-error.js';

/**
 * Opens the device that is published already, and makes sure that it is the one that the target asks
 * for. So a second `add` is a success, and what a killed one published is held while blkback opens
 * it. Throws `EPUBLISHED` where it is another device, or none any more.
 */
export async function openPublished(
  vbd: VbdPath,
  published: PublishedDevice,
  request: ExportRequest,
  signal?: AbortSignal,
): Promise<BlockDevice> {
  const refuse = (why: string, cause?: unknown): HotplugError =>
    new HotplugError(
      `${vbd.backend} already has physical-device ${formatDevnum(published.devnum)}, and ${why}; it has to be removed first`,
      { code: 'EPUBLISHED', cause },
    );
  if (published.diskseq === undefined || published.path === undefined) {
    throw refuse('it was not published by this program (there is no diskseq with it)');
  }
  const { path } = published;
  const open = async (): Promise<BlockDevice> => {
    const requested = await pinLocator(request.locator);
    await using wanted = requested.fd;
    const { fd, kind } = await pinPath(path);
    await using node = fd;
    if (kind !== 'block') throw refuse(`${path} is not that device`);
    const ownLoop = requested.kind === 'file';
    const top = await openBlockDevice(node, false, {
      ownLoop: ownLoop && request.layer === undefined,
      signal,
    });
    const device = await handOver(top, () => withBase(top, request, ownLoop));
    return await handOver(device, async () => {
      const { devnum, diskseq } = device.identity;
      if (!sameDevnum(devnum, published.devnum) || diskseq !== published.diskseq) {
        throw refuse(
          `${path} is another device by now (diskseq ${diskseq}, not ${published.diskseq})`,
        );
      }
      const { bottom } = device;
      if (!(await isRequested(bottom, wanted, request))) {
        throw refuse('that is not what params asks for');
      }
      const { mapper } = bottom.identity;
      if (mapper && request.verityRoot) await checkVerity(bottom, mapper, request.verityRoot);
      return device;
    });
  };
  try {
    return await open();
  } catch (error) {
    if (error instanceof HotplugError) throw error;
    throw refuse(`it cannot be compared with what params asks for (${errorMessage(error)})`, error);
  }
}

/** A layer with the device below it, if the target asks for one and this is it; else the device. */
async function withBase(
  top: BlockDevice,
  { layer }: ExportRequest,
  ownLoop: boolean,
): Promise<BlockDevice> {
  const { mapper } = top.identity;
  const base = mapper && layerBase(mapper);
  if (layer === undefined || mapper === undefined || base === undefined) return top;
  if (!isLayerOf(mapper, layer.owner) || mapper.targets[0]?.type !== layer.kind) return top;
  await using node = await pinNode((await findBlock(base)).directory);
  return top.over(await openBlockDevice(node, false, { ownLoop }));
}

/** Whether an open device is what `wanted` is: that very device, or a loop device over that file. */
async function isRequested(
  device: BlockDevice,
  wanted: OwnedFd,
  { locator, file, diskseq: expected }: ExportRequest,
): Promise<boolean> {
  const stat = await wanted.stat();
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
