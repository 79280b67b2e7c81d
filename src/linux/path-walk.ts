import { constants } from 'node:fs';
import { ERRNO } from '../util/errno.js';
import { blockingCall, closeDescriptor } from './blocking-call.js';
import { SystemError } from './errno.js';
import { AT_FDCWD, O_CLOEXEC, O_PATH } from './fcntl.js';
import { isAnyPlaceClosed } from './hung-calls.js';
import { locate } from './locate.js';
import { type OpenRequest, pathArgument, walk } from './path-steps.js';
import { placeOfFd } from './place.js';

const { O_NOFOLLOW } = constants;
// linux/openat2.h: struct open_how has three 64-bit numbers: flags, mode and resolve.
const OPEN_HOW_SIZE = 24;
const RESOLVE_NO_SYMLINKS = 4n;

/**
 * Opens a path, close-on-exec, and returns the descriptor. While too many calls hang somewhere,
 * this function follows the path step by step. Thus a file system that does not answer is not even
 * touched, and a file system that does answer is not mistaken for it. Throws as `blockingCall`
 * does.
 */
export async function openPath(path: string, flags: number, request: OpenRequest): Promise<number> {
  if (path.includes('\0')) throw SystemError.fromErrno('open', request.object, ERRNO.EINVAL);
  if (!isAnyPlaceClosed()) return await openDirectly(path, flags, request);
  const node = await walk(path, flags, request);
  // A symbolic link that is not followed has nothing more to open.
  if ((flags & O_NOFOLLOW) !== 0 && (flags & O_PATH) !== 0) return node;
  try {
    return await openDescriptorAgain(node, flags, request);
  } finally {
    await closeDescriptor(node, request.object);
  }
}

/**
 * Opens the file of a descriptor once more, without following a path. Returns the new descriptor.
 * Throws as `blockingCall` does.
 */
export function openDescriptorAgain(
  fd: number,
  flags: number,
  { object, signal }: OpenRequest,
): Promise<number> {
  return blockingCall({
    call: 'openat',
    args: [AT_FDCWD, `/proc/self/fd/${fd}`, flags | O_CLOEXEC, 0],
    uses: [fd],
    name: 'open',
    object,
    signal,
    place: () => placeOfFd(fd),
    onAbandonedSuccess: (opened) => void closeDescriptor(opened, object),
  });
}

function openDirectly(path: string, flags: number, request: OpenRequest) {
  const { object, signal } = request;
  return blockingCall({
    ...openCall(path, flags | O_CLOEXEC, request),
    uses: [],
    object,
    signal,
    // The place is unknown, because a symbolic link on the way may lead anywhere.
    place: () => undefined,
    locate: () => locate(path, flags),
    onAbandonedSuccess: (opened) => void closeDescriptor(opened, object),
  });
}

function openCall(path: string, flags: number, { symlinks }: OpenRequest) {
  if (symlinks !== false) {
    return {
      call: 'openat',
      args: [AT_FDCWD, pathArgument(path), flags, 0],
      name: 'open',
    } as const;
  }
  const how = Buffer.alloc(OPEN_HOW_SIZE);
  how.writeBigUInt64LE(BigInt(flags), 0);
  how.writeBigUInt64LE(RESOLVE_NO_SYMLINKS, 16);
  const args = [AT_FDCWD, pathArgument(path), how, OPEN_HOW_SIZE];
  return { call: 'openat2', args, name: 'openat2' } as const;
}
