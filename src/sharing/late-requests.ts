import { type Devnum, formatDevnum, parseDevnum, sameDevnum } from '../linux/devnum.js';
import { lookUpBlock, readAttribute } from '../linux/sysfs.js';
import type { UnexplainedUse } from '../topology/local-use.js';
import type { VbdUse } from '../vbd/vbd-uses.js';
import type { SharingRequest } from './sharing-request.js';

/**
 * Finds requests to a disk that is wanted for writing and that nobody is known to use. They are
 * those of a guest that has ended, by all signs: blkback ends a vbd in sysfs at once, but keeps the
 * device open until its last request has come back (drivers/block/xen-blkback/xenbus.c,
 * xen_blkif_disconnect and xen_blkbk_remove). The kernel shows the openers of loop and mapper
 * devices, and of no other ones.
 *
 * A single request may be anybody's, such as udev's, so the caller has to look again.
 *
 * @param shared the devices, as `major:minor`, on which the disks of other domains of the same
 *   virtual machine stand. A running guest always has requests under way.
 */
export function findLateRequests(
  {
    device,
    access,
    mapper,
    sharing,
  }: Pick<SharingRequest, 'device' | 'access' | 'mapper' | 'sharing'>,
  uses: readonly VbdUse[],
  shared: ReadonlySet<string>,
): UnexplainedUse | undefined {
  const devnum = device === undefined ? undefined : parseDevnum(device);
  // Others may read a disk that is not wanted for one guest alone.
  if (access === 'read-only' || sharing !== 'deny') return undefined;
  if (devnum === undefined || mapper !== undefined) return undefined;
  if (uses.some((use) => sameDevnum(use.devnum, devnum))) return undefined;
  if (shared.has(formatDevnum(devnum))) return undefined;
  const requests = countInFlight(devnum);
  if (requests === 0) return undefined;
  const path = `/dev/block/${formatDevnum(devnum)}`;
  return { kind: 'unexplained', access, path, devnum, processes: [], requests };
}

/**
 * Counts the requests that a disk or partition has not answered yet, as far as the kernel tells:
 * `inflight` has those that the driver has, and the ninth number of `stat` also those that flush.
 * Neither has requests that wait for a path to the disk to come back.
 */
function countInFlight(devnum: Devnum): number {
  const block = lookUpBlock(devnum);
  if (block === undefined) return 0;
  const read = (name: string): string => readAttribute(block.directory, name) ?? '';
  return parseInFlight(read('inflight'), read('stat'));
}

/**
 * Returns the number of requests from the attributes `inflight` and `stat`
 * (Documentation/ABI/stable/sysfs-block, Documentation/block/stat.rst). Pure.
 */
export function parseInFlight(inflight: string, stat: string): number {
  const toNumbers = (text: string): number[] => text.trim().split(/\s+/).map(Number);
  const [reads = 0, writes = 0] = toNumbers(inflight);
  return Math.max(reads + writes || 0, toNumbers(stat)[8] ?? 0);
}
