import type { Devnum } from '../linux/devnum.js';
import { listPartitions, lookUpBlock, requestChangeUevent } from '../linux/sysfs.js';

/**
 * Makes udev run its rules again for a device's whole disk and all partitions of the disk. The
 * rules depend on who uses a device, but the kernel sends no event when blkback opens or closes
 * one. Best effort: errors are ignored.
 */
export async function refreshUdev(devnum: Devnum): Promise<void> {
  const block = lookUpBlock(devnum);
  if (block === undefined) return;
  const partitions = listPartitions(block.diskDirectory);
  await Promise.all([block.diskDirectory, ...partitions].map(requestChangeUevent));
}
