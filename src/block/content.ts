import { errorCode } from '../errors.js';
import { getSize } from '../linux/block-ioctl.js';
import { formatDevnum } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import { readAttribute } from '../linux/sysfs.js';
import { poll } from '../util/poll.js';
import { limitTime } from '../util/time-limit.js';
import { BlockError } from './block-error.js';
import type { DeviceIdentity } from './identity.js';

/** Longest wait for the start of an md array that is being assembled; milliseconds. */
const ASSEMBLY_MS = 5000;
/**
 * States of an md array that has no content yet (Documentation/admin-guide/md.rst, array_state).
 */
const NOT_STARTED = ['clear', 'inactive'];

/**
 * Checks that an open device has a size above 0 bytes. Waits up to 5 s for an md array that is not
 * started, because members of the array may still be on their way. Throws `BlockError` with the
 * code `ENOMEDIUM` for an empty device, and with the code `EINACTIVE` for an md array that does not
 * start.
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
  const { signal: either } = limitTime(ASSEMBLY_MS, signal);
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
