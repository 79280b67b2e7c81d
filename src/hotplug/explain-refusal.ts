import type { BlockDevice } from '../block/block-device.js';
import { listClaimants } from '../block/holders.js';
import { VbdError } from '../vbd/vbd-error.js';

/**
 * Returns the error, with the reason added where it is known why blkback could not open a device
 * for writing: blkback itself does not tell. One reason is that the device is mounted here, and
 * that the kernel keeps others from writing a mounted device (block/bdev.c, bdev_may_open, since
 * Linux 6.8). Only `sharing=allow` comes this far with such a device.
 */
export async function explainBlkbackRefusal(
  error: unknown,
  { bottom }: BlockDevice,
): Promise<unknown> {
  if (!(error instanceof VbdError) || error.code !== 'EBLKBACK' || bottom.ownLoop) return error;
  const claimants = await listClaimants(bottom.identity.devnum).catch(() => []);
  if (claimants.length === 0) return error;
  return new VbdError(
    `${error.message}; ${bottom.path} is in use here by ${claimants.join(', ')}, and a kernel built without CONFIG_BLK_DEV_WRITE_MOUNTED, or booted with bdev_allow_write_mounted=0, lets nobody write a mounted device, whatever sharing=allow says`,
    { code: error.code, cause: error, guestMessage: 'blkback could not open its device' },
  );
}
