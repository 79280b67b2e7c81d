import { readlinkSync } from 'node:fs';
import type { BlockDevice } from '../block/block-device.js';
import type { PinnedPath } from '../block/open-path.js';
import { type Devnum, devnumFromStat, formatDevnum } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import { hasToItself } from '../linux/lease.js';
import { DeviceMap, fileExtent } from '../topology/device-map.js';
import type { Access } from '../topology/local-use.js';
import { mayBeOverlay, realFileOf } from '../topology/overlay.js';
import type { Reach } from '../topology/reach.js';
import type { Sharing } from './matrix.js';

/** What is to be exported, before anybody is asked whether it may be. */
export interface ExportUse {
  /** As people call it: the path that was asked for. */
  readonly subject: string;
  readonly access: Access;
  /** What the bytes are wanted for, if not for a guest. */
  readonly purpose?: 'resize' | undefined;
  readonly sharing: Sharing;
  readonly domid: number | undefined;
  /** The device, `major:minor`; `undefined` for a file that is none yet. */
  readonly device: string | undefined;
  /** The device if it is a mapper device. */
  readonly mapper: Devnum | undefined;
  /** A layer with a key of its own is to be over it: then it shares with nobody, not even its own VM. */
  readonly encrypted: boolean;
  /** Looks anew at what it stands on. */
  readonly look: (signal: AbortSignal) => Promise<Look>;
  /**
   * Whether nobody else has its bytes open, or has them open for writing if the export only reads.
   * `false` where that cannot be told either.
   */
  readonly isAlone: () => boolean;
}

export interface Look {
  readonly map: DeviceMap;
  readonly reach: Reach;
}

/** What a vbd wants of the device that was opened for it. */
export interface ExportTerms {
  /** As people call the device: the path that was asked for, if it was a path. */
  readonly subject: string | undefined;
  readonly writable: boolean;
  readonly sharing: Sharing;
  readonly encrypted: boolean;
  readonly domid: number;
}

/** The export of an open device on some terms. */
export function exportUse(device: BlockDevice, terms: ExportTerms): ExportUse {
  const { file, identity } = device.bottom;
  const access = terms.writable ? 'read-write' : 'read-only';
  return {
    subject: terms.subject ?? device.bottom.path,
    access,
    sharing: terms.sharing,
    domid: terms.domid,
    device: device.bottom.ownLoop ? undefined : formatDevnum(identity.devnum),
    mapper: identity.mapper && identity.devnum,
    encrypted: terms.encrypted,
    look: (signal) => reachOfDevice(device, signal),
    // Through an overlay the kernel does not see who has the file below open.
    isAlone: () =>
      file !== undefined && hasToItself(file, access) && !mayBeOverlay(identity.loop?.device ?? 0n),
  };
}

/** What an open device reaches. What was made for it, loop device and layer, is claimed by it alone. */
async function reachOfDevice(device: BlockDevice, signal: AbortSignal): Promise<Look> {
  const map = new DeviceMap(signal);
  const { bottom } = device;
  const { devnum, loop, partition } = bottom.identity;
  if (loop !== undefined && partition === undefined) map.learn(devnum, loop);
  const reach = await map.reach(device.identity.devnum);
  if (device !== bottom || !bottom.ownLoop) return { map, reach };
  return { map, reach: { ...reach, unclaimed: reach.unclaimed.slice(1) } };
}

/** What a device or file would reach, found without opening it for use. */
export async function reachOfPath(
  { fd, kind }: PinnedPath,
  window: { readonly offset: bigint; readonly size: bigint | undefined },
  signal: AbortSignal,
): Promise<Look> {
  const map = new DeviceMap(signal);
  const found = fd.inode;
  if (kind === 'block') return { map, reach: await map.reach(devnumFromStat(found.rdev)) };
  const own = fileExtent(found, window.offset, window.size);
  const real = mayBeOverlay(found.dev) ? await realFileOf(pathOf(fd)) : undefined;
  const extents = real === undefined ? [own] : [own, { ...own, ...real }];
  return { map, reach: { extents, stack: new Set(), unclaimed: [] } };
}

/** As the kernel has it. */
function pathOf(fd: OwnedFd): string {
  return readlinkSync(`/proc/self/fd/${fd.fd}`);
}
