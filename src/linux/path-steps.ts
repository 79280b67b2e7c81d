import { constants, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { ERRNO } from '../util/errno.js';
import { decodePath, encodePath } from '../util/path-bytes.js';
import type { SyscallArgument } from './addon.js';
import { blockingCall, closeDescriptor } from './blocking-call.js';
import { isSystemError, SystemError } from './errno.js';
import { AT_FDCWD, O_CLOEXEC, O_PATH } from './fcntl.js';
import { readMountTable } from './mounts.js';
import { type Place, placeOfFd, placeOfMount } from './place.js';

const { O_NOFOLLOW } = constants;
/** The kernel follows at most this many links (linux/namei.h, MAXSYMLINKS). */
const MOST_LINKS = 40;

/** A request to open a path. */
export interface OpenRequest {
  /** The file or device to open, for messages. */
  readonly object: string;
  /** `false` if a path through a symbolic link is refused with `ELOOP`. */
  readonly symlinks?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called when a call was given up. The promise resolves when the call has come back. */
  readonly onAbandoned?: ((cameBack: Promise<void>) => void) | undefined;
}

/**
 * Follows a path step by step and returns an O_PATH descriptor. `onStep` gets the place that the
 * next step may wait for. Throws as `blockingCall` does.
 */
export async function walk(
  path: string,
  flags: number,
  request: OpenRequest,
  onStep: (place: Place | undefined) => void = () => {},
): Promise<number> {
  const nofollow = (flags & O_NOFOLLOW) !== 0;
  const rest = split(path);
  let links = 0;
  let here = await step(AT_FDCWD, path.startsWith('/') ? '/' : '.', undefined, request);
  try {
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      const place = placeBelow(here, name);
      onStep(place);
      const next = await step(here, name, place, request);
      const isEnd = nofollow && rest.length === 0;
      const link = isEnd ? undefined : await readLinkOrClose(next, place, request);
      if (link !== undefined && request.symlinks === false) {
        await closeDescriptor(next, request.object);
        throw SystemError.fromErrno('openat2', request.object, ERRNO.ELOOP);
      }
      if (link === undefined) {
        await closeDescriptor(here, request.object);
        here = next;
        continue;
      }
      await closeDescriptor(next, request.object);
      if (++links > MOST_LINKS) throw SystemError.fromErrno('open', request.object, ERRNO.ELOOP);
      rest.unshift(...split(link));
      if (!link.startsWith('/')) continue;
      await closeDescriptor(here, request.object);
      here = await step(AT_FDCWD, '/', undefined, request);
    }
    return here;
  } catch (error) {
    await closeDescriptor(here, request.object);
    throw error;
  }
}

/** Opens one name in a directory, without following a link. */
function step(
  directory: number,
  name: string,
  place: Place | undefined,
  { object, signal, onAbandoned }: OpenRequest,
): Promise<number> {
  return blockingCall({
    call: 'openat',
    args: [directory, pathArgument(name), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0],
    uses: [directory],
    name: 'open',
    object,
    signal,
    onAbandoned,
    place: () => place,
    onAbandonedSuccess: (opened) => void closeDescriptor(opened, object),
  });
}

/** Does the same as `readLink`, and closes the descriptor if `readLink` throws. */
async function readLinkOrClose(
  node: number,
  place: Place | undefined,
  request: OpenRequest,
): Promise<string | undefined> {
  try {
    return await readLink(node, place, request);
  } catch (error) {
    await closeDescriptor(node, request.object);
    throw error;
  }
}

/** Returns the target of a symbolic link, `undefined` for any other file. */
async function readLink(
  node: number,
  place: Place | undefined,
  { object, signal, onAbandoned }: OpenRequest,
): Promise<string | undefined> {
  const text = Buffer.alloc(4096);
  try {
    const length = await blockingCall({
      call: 'readlinkat',
      args: [node, '', text, text.length],
      uses: [node],
      object,
      signal,
      onAbandoned,
      place: () => place,
    });
    return decodePath(text.subarray(0, length));
  } catch (error) {
    // fs/stat.c, do_readlinkat: these are the errors for an empty name and a file that is no link.
    if (isSystemError(error, 'ENOENT', 'EINVAL')) return undefined;
    throw error;
  }
}

/** Returns a path as an argument of a system call. A path that is not UTF-8 becomes bytes. */
export function pathArgument(path: string): SyscallArgument {
  const isText = !/[\udc80-\udcff]/u.test(path);
  return isText ? path : Buffer.concat([encodePath(path), Buffer.alloc(1)]);
}

function split(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/**
 * Returns the place that a look-up in a directory may wait for: the directory's file system, or the
 * file system that is mounted at the name.
 */
function placeBelow(directory: number, name: string): Place | undefined {
  const place = placeOfFd(directory);
  const path = join(readlinkSync(`/proc/self/fd/${directory}`), name);
  // Of several mounts on top of each other, the last one counts.
  const mount = readMountTable().findLast((one) => one.directory === path);
  return mount === undefined ? place : placeOfMount(mount);
}
