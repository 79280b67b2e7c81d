import type { BlockDevice } from '../block/block-device.js';
import type { PinnedPath } from '../block/open-path.js';
import { type Devnum, devnumFromStat, formatDevnum } from '../linux/devnum.js';
import { isSoleOpener } from '../linux/sole-opener.js';
import { windowOf } from '../topology/extent.js';
import { extentsOfFile } from '../topology/file-extents.js';
import type { Access } from '../topology/local-use.js';
import { mayBeOverlay } from '../topology/overlay.js';
import type { Reach } from '../topology/reach.js';
import { StorageSnapshot } from '../topology/storage-snapshot.js';
import type { Sharing } from './sharing-rules.js';

/** An export that has not been checked against other uses yet. */
export interface SharingRequest {
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
  readonly readReach: (signal: AbortSignal) => Promise<StorageReach>;
  /**
   * Returns whether nobody else has the bytes open. If the export only reads, others may have them
   * open for reading. Returns `false` also where the kernel cannot tell.
   */
  readonly isSoleOpener: () => boolean;
}

/** The devices and bytes that an export reaches, as one look has found them. */
export interface StorageReach {
  readonly snapshot: StorageSnapshot;
  readonly reach: Reach;
}

/** What a vbd demands of the device that was opened for it. */
export interface SharingTerms {
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
export function sharingRequest(device: BlockDevice, terms: SharingTerms): SharingRequest {
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
    readReach: (signal) => reachOfDevice(device, signal),
    // Where an overlay lies in between, the kernel does not see who has the file below open.
    isSoleOpener: () =>
      file !== undefined &&
      isSoleOpener(file, access) &&
      !mayBeOverlay(identity.loop?.device ?? 0n),
  };
}

/**
 * Looks up what an open device reaches. A loop device or layer that was made for the export is
 * claimed by the export alone.
 */
async function reachOfDevice(device: BlockDevice, signal: AbortSignal): Promise<StorageReach> {
  const snapshot = new StorageSnapshot(signal);
  const { bottom } = device;
  const { devnum, loop, partition } = bottom.identity;
  if (loop !== undefined && partition === undefined) snapshot.learn(devnum, loop);
  const reach = await snapshot.reach(device.identity.devnum);
  if (device !== bottom || !bottom.ownLoop) return { snapshot, reach };
  return { snapshot, reach: { ...reach, unclaimed: reach.unclaimed.slice(1) } };
}

/**
 * Looks up what a device or file would reach, without opening it for use. Throws as the kernel
 * does.
 */
export async function reachOfPath(
  { fd, kind }: PinnedPath,
  window: { readonly offset: bigint; readonly size: bigint | undefined },
  signal: AbortSignal,
): Promise<StorageReach> {
  const snapshot = new StorageSnapshot(signal);
  if (kind === 'block')
    return { snapshot, reach: await snapshot.reach(devnumFromStat(fd.inode.rdev)) };
  const extents = await extentsOfFile(fd, windowOf(window.offset, window.size));
  return { snapshot, reach: { extents, stack: new Set(), unclaimed: [] } };
}
