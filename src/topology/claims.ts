import { type Devnum, formatDevnum } from '../linux/devnum.js';
import { isDeviceAbsent, isSystemError } from '../linux/errno.js';
import { O_EXCL, O_NONBLOCK, O_RDONLY, OwnedFd } from '../linux/fd.js';
import { pause } from '../util/retry.js';
import type { DeviceMap } from './device-map.js';

/** Tools that look at a device, this one too, hold it exclusively for a moment. */
const TRIES = 10;
const PAUSE_MS = 25;

/** Probes under way: two of one device would each take the other one for a claim. */
const probes = new Map<string, Promise<boolean>>();

/**
 * Whether somebody in this domain has claimed a device exclusively: a mount, device-mapper, md, swap,
 * a program. The kernel is asked by an open with O_EXCL, for reading, which is closed at once. On a
 * partition it meets claims of the whole disk too, and on the disk those of its partitions
 * (block/bdev.c, bd_may_claim). Throws `SystemError`; the signal's reason.
 */
export async function isClaimed(
  map: DeviceMap,
  devnum: Devnum,
  signal: AbortSignal,
): Promise<boolean> {
  const path = map.block(devnum)?.path;
  if (path === undefined) return false;
  const key = formatDevnum(devnum);
  for (let other = probes.get(key); other !== undefined; other = probes.get(key)) {
    try {
      return await other;
    } catch {
      // Another add has given it up, or has met an error, which this one meets again.
      signal.throwIfAborted();
    }
  }
  const started = probe(path, signal).finally(() => probes.delete(key));
  probes.set(key, started);
  return await started;
}

/** The same for a claim that nothing else can be seen of: it must last. */
export async function isClaimedForLong(
  map: DeviceMap,
  devnum: Devnum,
  signal: AbortSignal,
): Promise<boolean> {
  for (let left = TRIES; left > 0; left--) {
    if (!(await isClaimed(map, devnum, signal))) return false;
    if (left > 1) await pause(PAUSE_MS * Math.random(), signal);
  }
  return true;
}

async function probe(path: string, signal: AbortSignal): Promise<boolean> {
  try {
    await using _ = await OwnedFd.open(path, O_RDONLY | O_EXCL | O_NONBLOCK, { signal });
    return false;
  } catch (error) {
    if (isSystemError(error, 'EBUSY')) return true;
    if (isDeviceAbsent(error) || isSystemError(error, 'ENOMEDIUM')) return false;
    throw error;
  }
}
