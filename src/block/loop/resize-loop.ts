import { getDiskseq } from '../../linux/block-ioctl.js';
import { formatDevnum } from '../../linux/devnum.js';
import { O_RDONLY, type OwnedFd } from '../../linux/fd.js';
import { updateLoopSize } from '../../linux/loop-ioctl.js';
import { withOwnership } from '../../util/with-ownership.js';
import { BlockError } from '../block-error.js';
import { openDeviceNode } from '../device-node.js';
import { isLoopBound, type LoopInstance } from './release-loop.js';

/**
 * Makes a loop device as large as its file is now. Throws `BlockError` with the code `EIDENTITY` if
 * the device is another one by now.
 */
export async function resizeLoop(
  loop: LoopInstance & { readonly path: string },
  signal?: AbortSignal,
): Promise<void> {
  await using fd = await openLoop(loop, signal);
  await updateLoopSize(fd, signal);
}

/** Opens a loop device for reading. Throws `EIDENTITY` where it is another by now. */
export async function openLoop(
  loop: LoopInstance & { readonly path: string },
  signal?: AbortSignal,
): Promise<OwnedFd> {
  // An open by the number could make a loop device that is gone anew.
  if (!isLoopBound(loop)) throw otherLoopError(loop);
  const opened = await openDeviceNode(loop.path, loop.devnum, O_RDONLY, signal);
  return await withOwnership(opened, async (fd) => {
    if ((await getDiskseq(fd)) === loop.diskseq) return fd;
    throw otherLoopError(loop);
  });
}

function otherLoopError({ path, devnum, diskseq }: LoopInstance & { path: string }): BlockError {
  return new BlockError(
    `${path} is not loop device ${formatDevnum(devnum)} (diskseq ${diskseq}) any more`,
    { code: 'EIDENTITY' },
  );
}
