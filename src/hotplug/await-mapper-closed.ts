import { BlockError, STILL_OPEN } from '../block/block-error.js';
import { errorCode } from '../errors.js';
import type { UnexplainedUse } from '../topology/local-use.js';
import { readPresentDiskseq, readStackedBlock } from '../topology/stacked-block.js';
import { StorageSnapshot } from '../topology/storage-snapshot.js';
import { findUnexplainedOpener } from '../topology/unexplained-openers.js';
import { poll } from '../util/poll.js';
import type { OpenVbds } from '../vbd/open-vbds.js';
import type { PublishedDevice } from '../vbd/published-device.js';

/**
 * Waits until blkback has closed a mapper device, because the vbd's directory in sysfs goes a
 * moment before the close. Device-mapper counts the openers of its devices. The kernel does not
 * tell the openers of other devices, so the function does not wait for them. Throws `EHELD` when
 * `signal` is aborted, unless its reason has the code `ECANCELED` or device-mapper has not answered.
 */
export async function awaitMapperClosed(
  { devnum, diskseq }: PublishedDevice,
  openVbds: OpenVbds,
  signal: AbortSignal,
): Promise<void> {
  if (readStackedBlock(devnum)?.kind !== 'mapper') return;
  // The number may be that of another device by now.
  if (diskseq !== undefined && readPresentDiskseq(devnum) !== diskseq) return;
  let opener: UnexplainedUse | undefined;
  try {
    await poll(signal, async () => {
      const guests = openVbds.list().map((open) => open.devnum);
      const look = (): Promise<UnexplainedUse | undefined> =>
        findUnexplainedOpener(new StorageSnapshot(signal), devnum, guests);
      // The openers are counted first and listed then. One that comes in between, such as udev, seems
      // to explain the open of blkback.
      opener = (await look()) ?? (await look());
      return opener === undefined ? true : undefined;
    });
  } catch (error) {
    if (!signal.aborted || errorCode(signal.reason) === 'ECANCELED') throw error;
    // Device-mapper has not answered at all.
    if (opener === undefined) throw error;
    throw new BlockError(
      `mapper device ${opener.path} is still open in the kernel (blkback, it seems)`,
      { code: 'EHELD', cause: error, guestMessage: STILL_OPEN },
    );
  }
}
