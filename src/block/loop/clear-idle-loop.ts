import { getDiskseq } from '../../linux/block-ioctl.js';
import { formatDevnum } from '../../linux/devnum.js';
import { isSystemError } from '../../linux/errno.js';
import { O_EXCL, O_RDONLY, type OwnedFd } from '../../linux/fd.js';
import {
  clearLoop,
  getLoopStatus,
  LO_FLAGS_AUTOCLEAR,
  setAutoclear,
} from '../../linux/loop-ioctl.js';
import { BlockError } from '../block-error.js';
import { openDeviceNode } from '../device-node.js';
import { listDiskHolders } from '../holders.js';
import { isLoopBound, type LoopInstance } from './release-loop.js';

/** How long the driver may take to unbind the device, or to switch autoclear off; milliseconds. */
const CLEAR_MS = 5000;

/**
 * Unbinds a loop device that does not clear itself, if nobody else has it open. The kernel decides
 * that: LOOP_CLR_FD unbinds the device for its only opener, and for one of several only switches
 * autoclear on (drivers/block/loop.c, loop_clr_fd). Autoclear is switched off again then. While
 * this function has the device open, no other close is the last one, so the device stays bound.
 *
 * The open is exclusive, so nobody can mount or claim the device meanwhile. Throws `BlockError`:
 * `EIDENTITY` if the device is another one by now, `EHELD` if somebody has it open or it clears
 * itself. Throws `SystemError` as well.
 */
export async function clearIdleLoop(
  loop: LoopInstance & { readonly path: string },
  signal?: AbortSignal,
): Promise<void> {
  await using fd = await openExclusively(loop, signal);
  if ((await getDiskseq(fd)) !== loop.diskseq) throw otherLoopError(loop);
  // The status also shows that the file system answers, before anything is changed.
  const { flags } = await getLoopStatus(fd, signal);
  if ((flags & LO_FLAGS_AUTOCLEAR) !== 0) throw await heldError(loop);
  if ((await listDiskHolders(loop.devnum)).length > 0) throw await heldError(loop);
  signal?.throwIfAborted();
  // The signal does not interrupt what follows: autoclear must not stay on a device of somebody else.
  await clearLoop(fd, AbortSignal.timeout(CLEAR_MS));
  try {
    await setAutoclear(fd, false, { signal: AbortSignal.timeout(CLEAR_MS) });
  } catch (error) {
    // The device is unbound, or will be with the close of this descriptor (since Linux 6.11).
    if (isSystemError(error, 'ENXIO')) return;
    throw error;
  }
  throw await heldError(loop);
}

async function openExclusively(
  loop: LoopInstance & { readonly path: string },
  signal: AbortSignal | undefined,
): Promise<OwnedFd> {
  // An open by the number could make a loop device that is gone anew.
  if (!isLoopBound(loop)) throw otherLoopError(loop);
  try {
    return await openDeviceNode(loop.path, loop.devnum, O_RDONLY | O_EXCL, signal);
  } catch (error) {
    if (isSystemError(error, 'EBUSY')) throw await heldError(loop);
    throw error;
  }
}

function otherLoopError({ devnum, diskseq }: LoopInstance): BlockError {
  return new BlockError(
    `loop device ${formatDevnum(devnum)} (diskseq ${diskseq}) is another one by now, and stays`,
    { code: 'EIDENTITY' },
  );
}

async function heldError({ devnum, path }: LoopInstance & { path: string }): Promise<BlockError> {
  const holders = (await listDiskHolders(devnum)).map(({ name }) => name);
  return new BlockError(
    `${path} is in use, and stays as it is: ${holders.join(', ') || 'the kernel has it open (blkback, it seems)'}`,
    { code: 'EHELD' },
  );
}
