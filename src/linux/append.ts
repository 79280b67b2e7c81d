import { constants } from 'node:fs';
import { pause } from '../util/retry.js';
import { blockingCall, closeDescriptor } from './blocking-call.js';
import { isSystemError } from './errno.js';
import { AT_FDCWD, O_CLOEXEC } from './fcntl.js';
import { placeOfFd } from './place.js';

const { O_APPEND, O_CREAT, O_WRONLY, O_NOCTTY } = constants;
/**
 * Pause before the next write to a non-blocking descriptor that is full because nobody reads;
 * milliseconds.
 */
const FULL_MS = 50;

/**
 * Opens a file for appending and makes it with `mode` if it does not exist. Returns the descriptor.
 * The open may wait, because a log may lie on a file server or be a pipe that nobody reads. Throws
 * as `blockingCall` does.
 */
export function openForAppending(
  path: string,
  mode: number,
  signal?: AbortSignal,
): Promise<number> {
  return blockingCall({
    call: 'openat',
    args: [AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC, mode],
    uses: [],
    name: 'open',
    object: path,
    signal,
    place: () => undefined,
    onAbandonedSuccess: (fd) => void closeDescriptor(fd, path),
  });
}

/** Writes a text completely. `object` names the file in errors. Throws as `blockingCall` does. */
export async function writeText(
  fd: number,
  text: string,
  object: string,
  signal?: AbortSignal,
): Promise<void> {
  for (let rest = Buffer.from(text); rest.length > 0; ) {
    try {
      const written = await blockingCall({
        call: 'write',
        args: [fd, rest, rest.length],
        uses: [fd],
        object,
        signal,
        place: () => placeOfFd(fd),
      });
      rest = rest.subarray(written);
    } catch (error) {
      if (!isSystemError(error, 'EAGAIN') || error.syscall !== 'write') throw error;
      await pause(FULL_MS, signal);
    }
  }
}
