import { join } from 'node:path';
import { type Devnum, parseDevnum, sameDevnum } from '../linux/devnum.js';
import { readMemoryFile } from '../linux/memory-file.js';
import { listPartitions, lookUpBlock, requestChangeUevent } from '../linux/sysfs.js';

/**
 * Makes udev run its rules again for a device's whole disk and all partitions of the disk. The
 * rules depend on who uses a device, but the kernel sends no event when blkback opens or closes
 * one. udev reads what it looks at, so a device of which a guest has some bytes is left out. Ignores
 * devices that are gone.
 *
 * @param open the devices that blkback has open.
 */
export function refreshUdev(devnum: Devnum, open: readonly Devnum[]): void {
  const block = lookUpBlock(devnum);
  if (block === undefined) return;
  const disk = block.diskDirectory;
  const isOpen = (directory: string): boolean => {
    const number = parseDevnum(readMemoryFile(join(directory, 'dev'))?.trim() ?? '');
    return number !== undefined && open.some((one) => sameDevnum(one, number));
  };
  if (isOpen(disk)) return;
  const partitions = listPartitions(disk);
  const free = partitions.filter((directory) => !isOpen(directory));
  if (free.length === partitions.length) requestChangeUevent(disk);
  for (const directory of free) requestChangeUevent(directory);
}
