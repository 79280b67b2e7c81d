import { type Devnum, devnumFromStat } from './devnum.js';
import { isBlockDevice, statWithinSecond } from './file-stat.js';
import type { Mount } from './mounts.js';

/**
 * Returns the device that is mounted; `undefined` where there is none, or where its path is not
 * found within a second. Some file systems, such as btrfs, have a number of their own that belongs
 * to no device. The source of the mount names the device then. This proves nothing, because other
 * file systems take any text as their source.
 */
export async function mountedDevice({ devnum, source }: Mount): Promise<Devnum | undefined> {
  if (devnum.major !== 0) return devnum;
  if (!source.startsWith('/dev/')) return undefined;
  const found = await statWithinSecond(source);
  return found && isBlockDevice(found) ? devnumFromStat(found.rdev) : undefined;
}
