import { listDiskHolders } from '../block/holders.js';
import { devnumFromStat, devnumKey, formatDevnum } from '../linux/devnum.js';
import { readBackingPath } from '../linux/sysfs.js';
import { DeviceMap } from '../topology/device-map.js';
import { isAutoclearLoop, listBoundLoops } from '../topology/stacked-block.js';
import type { HostLoop, HostVbd } from './host-state.js';

/**
 * The bound loop devices that no vbd has, and that nobody on this host is seen to use: no mount, no swap, no
 * process, no device on top. It is out of date when it returns.
 */
export async function findIdleLoops(
  vbds: readonly HostVbd[],
  signal: AbortSignal | undefined,
): Promise<HostLoop[]> {
  const explained = new Set<number>();
  for (const { open, published } of vbds) {
    if (open !== undefined) explained.add(devnumKey(open));
    if (published !== undefined) explained.add(devnumKey(published.devnum));
  }
  const map = new DeviceMap(signal);
  const loops = listBoundLoops(true);
  // A loop device over another one is not among that one's holders.
  for (const loop of loops) {
    const lower = (await map.loop(loop).catch(() => undefined))?.rdevice ?? 0n;
    if (lower !== 0n) explained.add(devnumKey(devnumFromStat(lower)));
  }
  const found: HostLoop[] = [];
  for (const devnum of loops) {
    if (explained.has(devnumKey(devnum))) continue;
    signal?.throwIfAborted();
    if ((await listDiskHolders(devnum)).length > 0) continue;
    const backingFile = readBackingPath(`/sys/dev/block/${formatDevnum(devnum)}`);
    // It was cleared in the meantime.
    if (backingFile === undefined) continue;
    const path = map.block(devnum)?.path ?? formatDevnum(devnum);
    found.push({ path, backingFile, autoclear: isAutoclearLoop(devnum) });
  }
  return found;
}
