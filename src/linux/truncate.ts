import { blockingCall } from './blocking-call.js';
import type { OwnedFd } from './fd.js';
import { placeOfFd } from './place.js';

/** Gives a file that is open for writing another size. Throws as `blockingCall` does. */
export async function truncateFile(
  file: OwnedFd,
  bytes: bigint,
  signal?: AbortSignal,
): Promise<void> {
  const { fd, name } = file;
  await blockingCall({
    call: 'ftruncate',
    args: [fd, Number(bytes)],
    uses: [fd],
    object: name,
    signal,
    place: () => placeOfFd(fd),
  });
}
