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

/** An export that has not been checked against other uses yet. */
export interface ExportUse {
  /** The name that people use for the device: the path that was asked for, if there is one. */
  readonly subject: string;
  readonly access: Access;
  /** What the bytes are wanted for, if not for a guest. */
  readonly purpose?: 'resize' | undefined;
  readonly sharing: Sharing;
  readonly domid: number | undefined;
  /**
   * The device that was asked for, as `major:minor`; `undefined` for a file, even if a loop device
   * has been made for it.
   */
  readonly device: string | undefined;
  /** The device, if it is a mapper device. */
  readonly mapper: Devnum | undefined;
  /**
   * Whether the export gets a layer with an encryption key of its own. Such an export shares bytes
   * with nobody, not even with its own virtual machine.
   */
  readonly encrypted: boolean;
  /** Looks anew at what the export stands on. */
  readonly look: (signal: AbortSignal) => Promise<Look>;
  /**
   * Returns whether nobody else has the bytes open. If the export only reads, others may have them
   * open for reading. Returns `false` also where the kernel cannot tell.
   */
  readonly isAlone: () => boolean;
}

/** The devices and bytes that an export reaches, as one look has found them. */
export interface Look {
  readonly map: DeviceMap;
  readonly reach: Reach;
}

/** What a vbd demands of the device that was opened for it. */
export interface ExportTerms {
  /**
   * The name that people use for the device: the path that was asked for, if the target was a path.
   */
  readonly subject: string | undefined;
  readonly writable: boolean;
  readonly sharing: Sharing;
  readonly encrypted: boolean;
  readonly domid: number;
}

/** Returns the export of an open device on the given terms. */
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
    // Where an overlay lies in between, the kernel does not see who has the file below open.
    isAlone: () =>
      file !== undefined && hasToItself(file, access) && !mayBeOverlay(identity.loop?.device ?? 0n),
  };
}

/**
 * Looks up what an open device reaches. A loop device or layer that was made for the export is
 * claimed by the export alone.
 */
async function reachOfDevice(device: BlockDevice, signal: AbortSignal): Promise<Look> {
  const map = new DeviceMap(signal);
  const { bottom } = device;
  const { devnum, loop, partition } = bottom.identity;
  if (loop !== undefined && partition === undefined) map.learn(devnum, loop);
  const reach = await map.reach(device.identity.devnum);
  if (device !== bottom || !bottom.ownLoop) return { map, reach };
  return { map, reach: { ...reach, unclaimed: reach.unclaimed.slice(1) } };
}

/**
 * Looks up what a device or file would reach, without opening it for use. Throws as the kernel
 * does.
 */
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

/** Returns the path of a descriptor, as the kernel spells it. */
function pathOf(fd: OwnedFd): string {
  return readlinkSync(`/proc/self/fd/${fd.fd}`);
}
