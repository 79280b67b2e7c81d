import type { BlockDevice } from '../block/block-device.js';
import { refreshUdev } from '../block/refresh-udev.js';
import { setAutoclear } from '../linux/loop-ioctl.js';
import { removeRecord, writeRecord } from '../vbd/record.js';
import type { VbdPath } from '../vbd/vbd-path.js';

/**
 * Arranges for what is left to do after the guest, once blkback's own reference keeps the device, and
 * says to the toolstack with `connect` that it is connected. A loop device of ours goes on clearing
 * itself until the very end, whatever happens in `connect`.
 */
export async function keep(
  runDirectory: string,
  vbd: VbdPath,
  { identity, ownLoop, path, fd }: BlockDevice,
  autoclear: boolean,
  connect: () => Promise<void>,
): Promise<void> {
  const { devnum, diskseq } = identity;
  const unbind = ownLoop && !autoclear;
  if (ownLoop && !unbind) return await connect();
  await writeRecord(runDirectory, vbd, { devnum, diskseq, path, unbind });
  try {
    await connect();
    if (unbind) await setAutoclear(fd, false);
    else await refreshUdev(devnum);
  } catch (error) {
    await removeRecord(runDirectory, vbd);
    throw error;
  }
}
