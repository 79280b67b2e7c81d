import { errorCode } from '../../errors.js';
import { getDiskseq } from '../../linux/block-ioctl.js';
import { devnumFromStat, formatDevnum, sameDevnum } from '../../linux/devnum.js';
import { isDeviceAbsent, isSystemError } from '../../linux/errno.js';
import { O_RDONLY, OwnedFd } from '../../linux/fd.js';
import { clearLoop } from '../../linux/loop-ioctl.js';
import { isInMemory } from '../../linux/memory-file.js';
import { readAttribute } from '../../linux/sysfs.js';
import { poll } from '../../util/poll.js';
import { BlockError, STILL_OPEN } from '../block-error.js';
import { listDiskHolders } from '../holders.js';
import type { DeviceIdentity } from '../identity.js';

/** Which loop device, and which of those that have borne its number. */
export type LoopInstance = Pick<DeviceIdentity, 'devnum' | 'diskseq'>;

/** Whether this very loop device is still bound. Looks without opening: an open would keep it. */
export function isLoopBound({ devnum, diskseq }: LoopInstance): boolean {
  const directory = `/sys/dev/block/${formatDevnum(devnum)}`;
  // The cheaper question first: it is asked again and again.
  if (!isInMemory(`${directory}/loop/backing_file`)) return false;
  return readAttribute(directory, 'diskseq') === String(diskseq);
}

/**
 * Waits until a loop device is unbound, as its last close makes it. Throws `EHELD` when `signal` is
 * aborted, unless with the code `ECANCELED`, and names whoever can be seen to hold it.
 */
export async function waitLoopUnbound(loop: LoopInstance, signal: AbortSignal): Promise<void> {
  try {
    await poll(signal, async () => (isLoopBound(loop) ? undefined : true));
  } catch (error) {
    // Interrupted is not the same as held up.
    if (!signal.aborted || errorCode(signal.reason) === 'ECANCELED') throw error;
    const holders = (await listDiskHolders(loop.devnum)).map(({ name }) => name);
    throw new BlockError(
      `loop device ${formatDevnum(loop.devnum)} (diskseq ${loop.diskseq}) is still held by ${holders.join(', ') || 'the kernel (blkback, it seems)'}`,
      { code: 'EHELD', cause: error, guestMessage: STILL_OPEN },
    );
  }
}

/**
 * Unbinds a loop device that does not clear itself; one that is another by now is left alone. While
 * others have it open, it is unbound with their last close: LOOP_CLR_FD only switches autoclear on then
 * (drivers/block/loop.c, loop_clr_fd), so that nobody has to be waited for. The file is not asked for
 * anything: its server may be gone.
 */
export async function unbindLoop(
  loop: LoopInstance & { readonly path: string },
  signal?: AbortSignal,
): Promise<void> {
  let fd: OwnedFd;
  try {
    fd = await OwnedFd.open(loop.path, O_RDONLY, { signal });
  } catch (error) {
    if (isDeviceAbsent(error)) return;
    throw error;
  }
  await using _ = fd;
  if (!sameDevnum(devnumFromStat(fd.inode.rdev), loop.devnum)) return;
  if ((await getDiskseq(fd)) !== loop.diskseq) return;
  try {
    await clearLoop(fd, signal);
  } catch (error) {
    if (!isSystemError(error, 'ENXIO')) throw error;
  }
}
