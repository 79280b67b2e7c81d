import { listDiskHolders } from '../block/holders.js';
import { devnumFromStat, devnumKey, formatDevnum } from '../linux/devnum.js';
import { readBackingPath } from '../linux/sysfs.js';
import { listBoundLoops } from '../topology/partition-list.js';
import { isAutoclearLoop, readPresentDiskseq } from '../topology/stacked-block.js';
import { StorageSnapshot } from '../topology/storage-snapshot.js';
import type { VbdRecord } from '../vbd/record.js';
import type { HostLoop, HostVbd } from './host-state.js';

/**
 * Finds the bound loop devices that belong to no vbd and that nothing on this host visibly uses: no
 * mount, no swap, no process, no device on top. A record in the run directory explains a loop
 * device, too. The result may be out of date when the function returns.
 */
export async function findIdleLoops(
  vbds: readonly HostVbd[],
  records: readonly VbdRecord[],
  signal: AbortSignal | undefined,
): Promise<HostLoop[]> {
  const explained = new Set<number>();
  for (const { open, published } of vbds) {
    if (open !== undefined) explained.add(devnumKey(open));
    if (published !== undefined) explained.add(devnumKey(published.devnum));
  }
  for (const { devnum, diskseq } of records) {
    if (readPresentDiskseq(devnum) === diskseq) explained.add(devnumKey(devnum));
  }
  const snapshot = new StorageSnapshot(signal);
  const loops = listBoundLoops(true);
  // The kernel does not list a loop device among the holders of the loop device below it.
  for (const loop of loops) {
    const lower = (await snapshot.loop(loop).catch(() => undefined))?.rdevice ?? 0n;
    if (lower !== 0n) explained.add(devnumKey(devnumFromStat(lower)));
  }
  const found: HostLoop[] = [];
  for (const devnum of loops) {
    if (explained.has(devnumKey(devnum))) continue;
    signal?.throwIfAborted();
    if ((await listDiskHolders(devnum)).length > 0) continue;
    const backingFile = readBackingPath(`/sys/dev/block/${formatDevnum(devnum)}`);
    const diskseq = readPresentDiskseq(devnum);
    // The loop device was cleared in the meantime.
    if (backingFile === undefined || diskseq === undefined) continue;
    const path = snapshot.block(devnum)?.path ?? formatDevnum(devnum);
    found.push({ path, devnum, diskseq, backingFile, autoclear: isAutoclearLoop(devnum) });
  }
  return found;
}
