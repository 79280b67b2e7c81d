import { openDeviceNode } from '../block/device-node.js';
import { type Devnum, formatDevnum } from '../linux/devnum.js';
import { isSystemError } from '../linux/errno.js';
import { O_EXCL, O_NONBLOCK, O_RDONLY } from '../linux/fd.js';
import { pause } from '../util/retry.js';
import { isPresent } from './stacked-block.js';
import type { StorageSnapshot } from './storage-snapshot.js';

/**
 * How often a claim must be seen before it counts as lasting. Tools that look at a device, this
 * program included, hold the device exclusively for a moment.
 */
const TRIES = 10;
const PAUSE_MS = 25;

/**
 * Probes under way, by device number. Two probes of one device would mistake each other for a
 * claim.
 */
const probes = new Map<string, Promise<boolean>>();

/**
 * Returns whether somebody in this domain has claimed a device exclusively: a mount, device-mapper,
 * md, swap or a program.
 *
 * Asks the kernel by an exclusive open for reading (O_EXCL), which is closed at once. On a
 * partition this open also meets claims of the whole disk, and on a disk also claims of its
 * partitions (block/bdev.c, bd_may_claim). Throws `SystemError`, the errors of `openDeviceNode`, or
 * the signal's reason.
 */
export async function isExclusivelyOpen(
  snapshot: StorageSnapshot,
  devnum: Devnum,
  signal: AbortSignal,
): Promise<boolean> {
  const path = snapshot.block(devnum)?.path;
  if (path === undefined) return false;
  const key = formatDevnum(devnum);
  for (let other = probes.get(key); other !== undefined; other = probes.get(key)) {
    try {
      return await other;
    } catch {
      // The other add has given up its probe, or the probe has failed. This call probes itself, and
      // meets a failure that lasts.
      signal.throwIfAborted();
    }
  }
  const started = probe(path, devnum, signal).finally(() => probes.delete(key));
  probes.set(key, started);
  return await started;
}

/**
 * Returns whether a device stays claimed for a while. This is for a claim that has no other sign:
 * it may be that of a tool which only takes a look. Throws as `isExclusivelyOpen` does.
 */
export async function staysExclusivelyOpen(
  snapshot: StorageSnapshot,
  devnum: Devnum,
  signal: AbortSignal,
): Promise<boolean> {
  for (let left = TRIES; left > 0; left--) {
    if (!(await isExclusivelyOpen(snapshot, devnum, signal))) return false;
    if (left > 1) await pause(PAUSE_MS * Math.random(), signal);
  }
  return true;
}

const PROBE = O_RDONLY | O_EXCL | O_NONBLOCK;

async function probe(path: string, devnum: Devnum, signal: AbortSignal): Promise<boolean> {
  // An open by the number could make a device that is gone anew.
  if (!isPresent(devnum)) return false;
  try {
    await using _ = await openDeviceNode(path, devnum, PROBE, signal);
    return false;
  } catch (error) {
    if (isSystemError(error, 'EBUSY')) return true;
    if (isSystemError(error, 'ENXIO', 'ENODEV', 'ENOMEDIUM')) return false;
    throw error;
  }
}
