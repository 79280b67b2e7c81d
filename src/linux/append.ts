import { constants } from 'node:fs';
import { pause } from '../util/retry.js';
import { blockingCall, closeDescriptor } from './blocking.js';
import { isSystemError } from './errno.js';
import { placeOfFd } from './place.js';

const { O_APPEND, O_CREAT, O_WRONLY, O_NOCTTY } = constants;
/** asm-generic/fcntl.h */
const O_CLOEXEC = 0o2000000;
const AT_FDCWD = -100;
/** Between two attempts to write where nobody reads, and that is not waited for; milliseconds. */
const FULL_MS = 50;

/**
 * Opens a file for appending, and makes it if it is not there. Returns the descriptor. Throws as
 * `blockingCall` does: a log may lie on a file server, or be a pipe that nobody reads.
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
    late: (fd) => void closeDescriptor(fd, path),
  });
}

/** Writes all of a text. Throws as `blockingCall` does. */
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
