import { errorCode } from '../../errors.js';
import { getDiskseq } from '../../linux/block-ioctl.js';
import { formatDevnum } from '../../linux/devnum.js';
import { isDeviceAbsent, isSystemError } from '../../linux/errno.js';
import { O_RDONLY, type OwnedFd } from '../../linux/fd.js';
import { clearLoop } from '../../linux/loop-ioctl.js';
import { isInMemory } from '../../linux/memory-file.js';
import { readAttribute } from '../../linux/sysfs.js';
import { poll } from '../../util/poll.js';
import { BlockError, STILL_OPEN } from '../block-error.js';
import { openDeviceNode } from '../device-node.js';
import { listDiskHolders } from '../holders.js';
import type { DeviceIdentity } from '../identity.js';

/**
 * The identity of a bound loop device. The diskseq tells the device from others that had the same
 * number.
 */
export type LoopInstance = Pick<DeviceIdentity, 'devnum' | 'diskseq'>;

/**
 * Tells whether this very loop device is still bound. Does not open the device, because an open
 * would keep it.
 */
export function isLoopBound({ devnum, diskseq }: LoopInstance): boolean {
  const directory = `/sys/dev/block/${formatDevnum(devnum)}`;
  // The cheaper question comes first, because callers poll.
  if (!isInMemory(`${directory}/loop/backing_file`)) return false;
  return readAttribute(directory, 'diskseq') === String(diskseq);
}

/**
 * Waits until the last close has unbound a loop device. If `signal` is aborted first, throws
 * `BlockError` with the code `EHELD`, which names the visible holders. If the reason of `signal`
 * has the code `ECANCELED`, throws that reason instead.
 */
export async function waitLoopUnbound(loop: LoopInstance, signal: AbortSignal): Promise<void> {
  try {
    await poll(signal, async () => (isLoopBound(loop) ? undefined : true));
  } catch (error) {
    // A wait that was interrupted does not mean that the device is held.
    if (!signal.aborted || errorCode(signal.reason) === 'ECANCELED') throw error;
    const holders = (await listDiskHolders(loop.devnum)).map(({ name }) => name);
    throw new BlockError(
      `loop device ${formatDevnum(loop.devnum)} (diskseq ${loop.diskseq}) is still held by ${holders.join(', ') || 'the kernel (blkback, it seems)'}`,
      { code: 'EHELD', cause: error, guestMessage: STILL_OPEN },
    );
  }
}

/**
 * Unbinds a loop device that does not clear itself. A device that is another one by now stays as it
 * is, and so does a device that is unbound already. Nothing has to wait for other processes that
 * have the device open: LOOP_CLR_FD only switches autoclear on in that case, and their last close
 * unbinds the device (drivers/block/loop.c, loop_clr_fd). The backing file is asked nothing,
 * because its server may be gone. Throws `SystemError`, and the errors of `openDeviceNode`.
 */
export async function unbindLoop(
  loop: LoopInstance & { readonly path: string },
  signal?: AbortSignal,
): Promise<void> {
  // An open by the number could make a loop device that is gone anew.
  if (!isLoopBound(loop)) return;
  let fd: OwnedFd;
  try {
    fd = await openDeviceNode(loop.path, loop.devnum, O_RDONLY, signal);
  } catch (error) {
    if (isDeviceAbsent(error)) return;
    throw error;
  }
  await using _ = fd;
  if ((await getDiskseq(fd)) !== loop.diskseq) return;
  try {
    await clearLoop(fd, signal);
  } catch (error) {
    if (!isSystemError(error, 'ENXIO')) throw error;
  }
}
