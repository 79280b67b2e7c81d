import { errorCode } from '../errors.js';
import { getSize } from '../linux/block-ioctl.js';
import { formatDevnum } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import { readAttribute } from '../linux/sysfs.js';
import { poll } from '../util/poll.js';
import { BlockError } from './block-error.js';
import type { DeviceIdentity } from './identity.js';

/** How long an md array that is being assembled may take to start; milliseconds. */
const ASSEMBLY_MS = 5000;
/** States of an array that has no content yet (Documentation/admin-guide/md.rst, array_state). */
const NOT_STARTED = ['clear', 'inactive'];

/**
 * Makes sure that an open device has a size. An md array that is not started yet is waited for, as its
 * members may be on their way. Throws `ENOMEDIUM` for a device that is empty, `EINACTIVE` for an array
 * that does not start.
 */
export async function awaitContent(
  fd: OwnedFd,
  { devnum }: DeviceIdentity,
  signal?: AbortSignal,
): Promise<void> {
  if ((await getSize(fd)) > 0n) return;
  const readState = (): string | undefined =>
    readAttribute(`/sys/dev/block/${formatDevnum(devnum)}`, 'md/array_state');
  if (!NOT_STARTED.includes(readState() ?? '')) throw emptyDevice(fd.name);
  const late = AbortSignal.timeout(ASSEMBLY_MS);
  const either = signal ? AbortSignal.any([signal, late]) : late;
  try {
    await poll(either, async () => ((await getSize(fd)) > 0n ? true : undefined));
  } catch (error) {
    if (!either.aborted || errorCode(either.reason) === 'ECANCELED') throw error;
    if (!NOT_STARTED.includes(readState() ?? '')) throw emptyDevice(fd.name);
    throw new BlockError(
      `${fd.name} is an md array that is not started (array_state ${readState()}): start it, or add the members that are missing (mdadm --detail, mdadm --run)`,
      { code: 'EINACTIVE', cause: error },
    );
  }
}

function emptyDevice(name: string): BlockError {
  return new BlockError(`${name} is empty: it has no medium, or nothing is behind it`, {
    code: 'ENOMEDIUM',
  });
}
