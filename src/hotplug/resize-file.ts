import { openBackingFile } from '../block/loop/backing-file.js';
import { openLoop, resizeLoop } from '../block/loop/resize-loop.js';
import { pinLocator } from '../block/open-export.js';
import type { PinnedPath } from '../block/open-path.js';
import { formatDevnum } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import { getLoopStatus } from '../linux/loop-ioctl.js';
import { readAttribute } from '../linux/sysfs.js';
import { truncateFile } from '../linux/truncate.js';
import type { SameVmRule } from '../sharing/same-vm.js';
import { SharingLock } from '../sharing/sharing-lock.js';
import { reachOfPath, type SharingRequest } from '../sharing/sharing-request.js';
import { directLookup } from '../topology/storage-lookup.js';
import { OpenVbds } from '../vbd/open-vbds.js';
import { readVbdUses } from '../vbd/vbd-uses.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { Detachment } from './detachment.js';
import { HotplugError } from './hotplug-error.js';
import type { OwnLoop } from './own-loop.js';
import { planAttach } from './plan.js';

/** The size that a disk gets. */
export interface NewSize {
  readonly bytes: bigint;
  /** Whether bytes beyond the new size may be cut off. */
  readonly shrink: boolean;
}

/** The attached vbd whose file gets another size, and what the resize needs. */
export interface FileResize {
  readonly store: Xenstore;
  readonly detachment: Detachment;
  readonly place: { readonly sysfs: string; readonly runDirectory: string };
  readonly sameVm: SameVmRule;
  readonly signal: AbortSignal;
  /** Makes the layers shorter, before the file is. */
  readonly shrinkLayers: (bytes: bigint) => Promise<void>;
}

/**
 * How often the file is cut. Until the loop device ends at the new size, a guest may write beyond
 * it, and the file grows again.
 */
const MOST_CUTS = 5;

/**
 * Gives the file of an attached vbd and its loop device another size. The sharing lock keeps other
 * adds of the file away meanwhile. Throws `EBUSY` if anybody else uses the file, `EWINDOW` for a
 * size that the disk cannot have, and `EIDENTITY` if the path now leads to another file.
 */
export async function resizeFile(resize: FileResize, { bytes, shrink }: NewSize): Promise<void> {
  const { store, detachment, place, signal } = resize;
  const { vbd, backend, loop } = detachment;
  const { request } = planAttach(vbd, backend);
  const { file: window, locator } = request;
  if (!('path' in locator)) throw noFile(vbd.backend);
  if (window.size !== undefined) {
    throw badSize(
      `${vbd.backend} is a part of its file, as size= in its target says: it keeps that`,
    );
  }
  const pinned = await pinLocator(locator, signal);
  await using node = pinned.fd;
  if (pinned.kind !== 'file') throw noFile(vbd.backend);
  // The loop device was found by its file. If none was found, the path leads to another file now.
  if (loop === undefined) throw otherFile(node.name, 'the disk');
  const whole = { offset: window.offset, size: undefined, blockSize: 1, mayBeEmpty: true };
  const terms = { runDirectory: place.runDirectory, exclusive: true, checked: true };
  await using sharingLock = await SharingLock.acquire(pinned, whole, terms, signal);
  await using backing = await openBackingFile(node, true, whole, signal);
  await requireBacking(backing.fd, loop, window.offset, signal);
  await sharingLock.requireFree(toSharingRequest(pinned, whole, vbd.domid), {
    store,
    runDirectory: place.runDirectory,
    uses: readVbdUses(store, new OpenVbds(place.sysfs)),
    storageLookup: directLookup,
    own: vbd,
    sameVm: resize.sameVm,
    signal,
  });
  const present = await bytesOf(backing.fd, window.offset, signal);
  requireSize(node.name, loop, { bytes, shrink }, present);
  if (bytes < present) await resize.shrinkLayers(bytes);
  for (let cuts = 0; cuts < MOST_CUTS; cuts++) {
    await truncateFile(backing.fd, window.offset + bytes, signal);
    await resizeLoop(loop, signal);
    if ((await bytesOf(backing.fd, window.offset, signal)) === bytes) return;
  }
  throw new HotplugError(`${node.name} grows again each time it is cut: somebody writes to it`, {
    code: 'EBUSY',
  });
}

/**
 * Throws `EIDENTITY` unless the loop device stands on this very file, and `EWINDOW` if it shows
 * another part of the file than the target says.
 */
async function requireBacking(
  file: OwnedFd,
  loop: OwnLoop,
  offset: bigint,
  signal: AbortSignal,
): Promise<void> {
  await using fd = await openLoop(loop, signal);
  const status = await getLoopStatus(fd, signal);
  const { dev, ino } = file.inode;
  if (status.device !== dev || status.inode !== ino) {
    throw otherFile(file.name, loop.path);
  }
  if (status.offset === offset && status.sizeLimit === 0n) return;
  throw badSize(
    `${loop.path} shows another part of ${file.name} than its target says (offset ${status.offset}, size ${status.sizeLimit || 'all'}): detach and attach it`,
  );
}

/**
 * Returns the request for the sharing check. The vbd's own loop device always has the file open, so
 * the vbd is never its sole opener.
 */
function toSharingRequest(
  pinned: PinnedPath,
  window: { readonly offset: bigint; readonly size: undefined },
  domid: number,
): SharingRequest {
  return {
    subject: pinned.fd.name,
    access: 'read-write',
    purpose: 'resize',
    sharing: 'deny',
    domid,
    device: undefined,
    mapper: undefined,
    encrypted: false,
    readReach: (signal) => reachOfPath(pinned, window, signal),
    isSoleOpener: () => false,
  };
}

/** Returns how many bytes a file has from `offset` on. */
async function bytesOf(file: OwnedFd, offset: bigint, signal: AbortSignal): Promise<bigint> {
  const { size } = await file.stat(signal);
  return size > offset ? size - offset : 0n;
}

function requireSize(
  name: string,
  { devnum }: OwnLoop,
  { bytes, shrink }: NewSize,
  present: bigint,
): void {
  const directory = `/sys/dev/block/${formatDevnum(devnum)}`;
  const block = BigInt(readAttribute(directory, 'queue/logical_block_size') ?? 512);
  if (bytes % block !== 0n) {
    throw badSize(`${bytes} bytes are not a multiple of the block size ${block} of the disk`);
  }
  if (bytes < present && !shrink) {
    throw badSize(
      `${name} has ${present} bytes for the disk, and ${bytes} are fewer: --shrink cuts off what lies behind them, for good`,
    );
  }
}

function noFile(backend: string): HotplugError {
  return badSize(
    `${backend} stands on no file: give its disk the size where it was made (lvextend), and then run resize without a size`,
  );
}

function otherFile(name: string, disk: string): HotplugError {
  return new HotplugError(
    `${name} is not the file that ${disk} stands on: it was moved, or replaced, since the attach`,
    { code: 'EIDENTITY' },
  );
}

function badSize(message: string): HotplugError {
  return new HotplugError(message, { code: 'EWINDOW' });
}
