import { constants, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { decodePath, encodePath } from '../util/path-bytes.js';
import type { SyscallArgument } from './addon.js';
import { blockingCall, closeDescriptor } from './blocking.js';
import { isSystemError, SystemError } from './errno.js';
import { isAnyPlaceClosed } from './hung-calls.js';
import { readMountTable } from './mounts.js';
import { type Place, placeOfFd, placeOfMount } from './place.js';

const { O_NOFOLLOW } = constants;
/** Not named by Node: asm-generic/fcntl.h, the same on every platform of Xen's. */
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const AT_FDCWD = -100;
/** What the kernel follows at the most (linux/namei.h, MAXSYMLINKS). */
const MOST_LINKS = 40;
/** How long it is looked for what a call hangs in; milliseconds. */
const LOCATE_MS = 500;
/** So many searches at a time: as many as it takes for a place to be closed to the rest of them. */
const LANES = 8;

// linux/openat2.h: struct open_how is three 64-bit numbers, flags, mode and resolve.
const OPEN_HOW_SIZE = 24;
const RESOLVE_NO_SYMLINKS = 4n;

export interface OpenRequest {
  /** What is opened, for messages. */
  readonly object: string;
  /** `false`: a path that leads through a symbolic link is refused, with `ELOOP`. */
  readonly symlinks?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens a path, close-on-exec, and returns the descriptor. While too many calls hang somewhere, the path
 * is followed step by step, so that a file system that does not answer is not even touched, and one that
 * does is not taken for it. Throws as `blockingCall` does.
 */
export async function openPath(path: string, flags: number, request: OpenRequest): Promise<number> {
  if (path.includes('\0')) throw SystemError.fromErrno('open', request.object, 22);
  if (!isAnyPlaceClosed()) return await openDirectly(path, flags, request);
  const node = await walk(path, flags, request);
  // Of a symbolic link that is not followed there is nothing more to be opened.
  if ((flags & O_NOFOLLOW) !== 0 && (flags & O_PATH) !== 0) return node;
  try {
    return await openDescriptorAgain(node, flags, request);
  } finally {
    await closeDescriptor(node, request.object);
  }
}

/** Opens what a descriptor refers to once more; no path is followed. */
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
    late: (opened) => void closeDescriptor(opened, object),
  });
}

function openDirectly(path: string, flags: number, request: OpenRequest) {
  const { object, signal } = request;
  return blockingCall({
    ...openCall(path, flags | O_CLOEXEC, request),
    uses: [],
    object,
    signal,
    // A symbolic link on the way may lead anywhere.
    place: () => undefined,
    locate: () => locate(path, flags),
    late: (opened) => void closeDescriptor(opened, object),
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

/** A path for a system call; one that is not UTF-8 goes as bytes. */
export function pathArgument(path: string): SyscallArgument {
  const isText = !/[\udc80-\udcff]/u.test(path);
  return isText ? path : Buffer.concat([encodePath(path), Buffer.alloc(1)]);
}

const lanes: Promise<unknown>[] = Array.from({ length: LANES }, () => Promise.resolve());
let searches = 0;

/**
 * Finds out where the open of a path hangs, by following it until that hangs too, or is refused where
 * enough of them hang.
 */
function locate(path: string, flags: number): Promise<Place | undefined> {
  const lane = searches++ % LANES;
  const search = Promise.resolve(lanes[lane]).then(() => follow(path, flags));
  lanes[lane] = search;
  return search;
}

async function follow(path: string, flags: number): Promise<Place | undefined> {
  let at: Place | undefined;
  const request = { object: path, signal: AbortSignal.timeout(LOCATE_MS) };
  try {
    const fd = await walk(path, flags, request, (place) => {
      at = place;
    });
    // It hangs in the file or device itself, and not on the way.
    at = placeOfFd(fd);
    await closeDescriptor(fd, path);
    return at;
  } catch (error) {
    return request.signal.aborted || isSystemError(error, 'EHUNG') ? at : undefined;
  }
}

/** Follows a path and returns an O_PATH descriptor; `onStep` is told what the next step may wait for. */
async function walk(
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
      const link = nofollow && rest.length === 0 ? undefined : await readLink(next, place, request);
      if (link !== undefined && request.symlinks === false) {
        await closeDescriptor(next, request.object);
        throw SystemError.fromErrno('openat2', request.object, 40);
      }
      if (link === undefined) {
        await closeDescriptor(here, request.object);
        here = next;
        continue;
      }
      await closeDescriptor(next, request.object);
      if (++links > MOST_LINKS) throw SystemError.fromErrno('open', request.object, 40);
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

/** Opens one name in a directory, without following it. */
function step(
  directory: number,
  name: string,
  place: Place | undefined,
  { object, signal }: OpenRequest,
): Promise<number> {
  return blockingCall({
    call: 'openat',
    args: [directory, pathArgument(name), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0],
    uses: [directory],
    name: 'open',
    object,
    signal,
    place: () => place,
    late: (opened) => void closeDescriptor(opened, object),
  });
}

/** What a symbolic link says; `undefined` for what is none. */
async function readLink(
  node: number,
  place: Place | undefined,
  { object, signal }: OpenRequest,
): Promise<string | undefined> {
  const text = Buffer.alloc(4096);
  try {
    const length = await blockingCall({
      call: 'readlinkat',
      args: [node, '', text, text.length],
      uses: [node],
      object,
      signal,
      place: () => place,
    });
    return decodePath(text.subarray(0, length));
  } catch (error) {
    // fs/stat.c, do_readlinkat: an empty name and no link.
    if (isSystemError(error, 'ENOENT', 'EINVAL')) return undefined;
    throw error;
  }
}

function split(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}

/** What a lookup in a directory may wait for: its file system, or the one that is mounted there. */
function placeBelow(directory: number, name: string): Place | undefined {
  const place = placeOfFd(directory);
  const path = join(readlinkSync(`/proc/self/fd/${directory}`), name);
  // The last of several that were mounted on top of each other.
  const mount = readMountTable().findLast((one) => one.directory === path);
  return mount === undefined ? place : placeOfMount(mount);
}
