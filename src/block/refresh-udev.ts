import type { Devnum } from '../linux/devnum.js';
import { listPartitions, lookUpBlock, requestChangeUevent } from '../linux/sysfs.js';

/**
 * Makes udev look again at a device, its whole disk and the partitions: its rules decide by who uses
 * a device, and the kernel sends no event when blkback opens or closes one. Best effort.
 */
export async function refreshUdev(devnum: Devnum): Promise<void> {
  const block = lookUpBlock(devnum);
  if (block === undefined) return;
  const partitions = listPartitions(block.diskDirectory);
  await Promise.all([block.diskDirectory, ...partitions].map(requestChangeUevent));
}
