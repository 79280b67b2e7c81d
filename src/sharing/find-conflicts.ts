import { type Devnum, sameDevnum } from '../linux/devnum.js';
import { type Extent, overlap } from '../topology/extent.js';
import { findImageUses } from '../topology/image-uses.js';
import type { Access, LocalUse, UnexplainedUse } from '../topology/local-use.js';
import { findLocalUses } from '../topology/local-uses.js';
import type { Reach } from '../topology/reach.js';
import type { StorageLookup } from '../topology/storage-lookup.js';
import type { StorageSnapshot } from '../topology/storage-snapshot.js';
import { findUnexplainedLoops, findUnexplainedOpener } from '../topology/unexplained-openers.js';
import { yieldToLoop } from '../util/yield-to-loop.js';
import { sameVbd, type VbdPath } from '../vbd/vbd-path.js';
import type { VbdUse, VbdUses } from '../vbd/vbd-uses.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { findGuestUses, type GuestUse, isStale } from './find-guest-uses.js';
import { findLateRequests } from './late-requests.js';
import {
  findPendingUses,
  isOpenFor,
  isPending,
  listUsesAndOpens,
  type PendingOpen,
  type UsesAndOpens,
  unexplainedOpens,
} from './pending-opens.js';
import { compareVms, readDomains, type SameVmRule } from './same-vm.js';
import type { SharingRequest } from './sharing-request.js';
import { mayShare } from './sharing-rules.js';

/** A use that forbids the export. */
export type Conflict = GuestUse | LocalUse | UnexplainedUse;

/** What an export is compared with. */
export interface SharingContext {
  readonly store: Xenstore;
  readonly uses: VbdUses;
  readonly storageLookup: StorageLookup;
  /** The directory of the lock file, which names the devices that blkback may still open. */
  readonly runDirectory: string;
  /** The vbd that is being attached. Whatever this vbd has already is no conflict. */
  readonly own: VbdPath | undefined;
  readonly sameVm: SameVmRule;
  readonly signal: AbortSignal;
}

/**
 * Returns whether a use is about to end, as far as can be told: the nodes of its vbd are gone, they
 * name a number for a device that had it before, or nothing explains the use. Such a use may end at
 * any moment, when blkback closes or refuses the device. A program may have locked an image for a
 * moment only, and the QEMU of a guest that reboots ends after libxl has made the guest anew.
 */
export function mayEndSoon(conflict: Conflict): boolean {
  if (conflict.kind === 'unexplained' || conflict.kind === 'image') return true;
  return conflict.kind === 'guest' && (conflict.nodesGone || conflict.stale);
}

/**
 * Lists what vbds have. An add holds the device that it has published until blkback opens the device.
 * Until then the number means this device, even if its diskseq has changed. A remove that takes the
 * publication back makes the same announcement and holds nothing, so the number may also be one that
 * another device has got: such a use is listed in both meanings.
 */
async function listUses(context: SharingContext): Promise<UsesAndOpens> {
  const { uses, pending } = await listUsesAndOpens(context.uses, context);
  if (pending.length === 0) return { uses, pending };
  const isHeld = (use: VbdUse): boolean => isPending(pending, use);
  const held = uses.filter(isHeld).map((use) => ({ ...use, diskseq: undefined }));
  const others = uses.filter((use) => !isHeld(use) || (!use.open && use.writable));
  const meant = [...held, ...others];
  return { uses: meant, pending };
}

/**
 * Finds the uses that forbid an export, and yields those of guests first. With `sharing=allow` these
 * are only the vbds for which blkback may open the device by a number that another device had. Throws
 * as the store and the kernel do.
 */
export async function* findConflicts(
  wanted: SharingRequest,
  { snapshot, reach }: { readonly snapshot: StorageSnapshot; readonly reach: Reach },
  context: SharingContext,
): AsyncGenerator<Conflict> {
  const readers = !mayShare(wanted.sharing, wanted.access, 'read-only');
  const writers = !mayShare(wanted.sharing, wanted.access, 'read-write');
  // What is made for a file gets a number that no vbd names.
  if (wanted.sharing === 'allow' && wanted.device === undefined) return;
  const clashes = clashesWith(wanted, reach.extents);
  const known = new Set(reach.stack);
  const { uses, pending } = await listUses(context);
  // The comparison takes a moment for each vbd.
  await yieldToLoop();
  const isOwn = ({ vbd }: VbdUse): boolean =>
    context.own !== undefined && sameVbd(vbd, context.own);
  const own = uses.filter(isOwn);
  // A guest that only reads must not get another guest's disk by its number either.
  const counts = (use: VbdUse): boolean =>
    (use.writable ? writers : readers) || isStale(snapshot, use);
  const others = uses.filter((use) => counts(use) && !isOwn(use));
  for (const { devnum } of own) {
    for (const device of (await snapshot.reach(devnum)).stack) known.add(device);
  }
  const devices = others.map(({ devnum }) => devnum);
  const nearby = await context.storageLookup.findNearby({ ...reach, snapshot, devices, readers });
  const close = others.filter(({ devnum }) => nearby.mayHave(devnum));
  const bytes = { snapshot, reach, clashes };
  const shared = new Set<string>();
  for await (const { theirs, ...guest } of findGuestUses(wanted, close, bytes, context)) {
    // The guest itself accounts for all claims within its stack, and for all requests.
    for (const device of theirs.stack) known.add(device);
    if (guest.tolerated) for (const device of theirs.stack) shared.add(device);
    else yield guest;
  }
  const isOurs = (open: PendingOpen): boolean =>
    (context.own !== undefined && isOpenFor(open, context.own)) ||
    (open.domid === wanted.domid && !wanted.encrypted);
  const unexplained = unexplainedOpens(pending, uses).filter((open) => !isOurs(open));
  yield* await findPendingUses(snapshot, unexplained, { ...reach, clashes });
  if (!readers && !writers) return;
  const isGuests = (devnum: Devnum): boolean =>
    uses.some((use) => sameDevnum(use.devnum, devnum) && !isStale(snapshot, use));
  const isOpenForGuest = (devnum: Devnum): boolean =>
    uses.some((use) => use.open && isDiskOf(snapshot, devnum, use.devnum));
  const query = {
    ...reach,
    known,
    nearby,
    clashes,
    isGuests,
    isOpenForGuest,
    signal: context.signal,
  };
  yield* findLocalUses(snapshot, query);
  let isServed = false;
  for (const image of await findImageUses(snapshot, query)) {
    if (await isOwnDeviceModel(image, wanted, context)) isServed = true;
    else yield image;
  }
  yield* await findUnexplainedLoops(snapshot, query);
  const late = isServed ? undefined : findLateRequests(wanted, uses, shared);
  if (late !== undefined) yield late;
  if (wanted.mapper === undefined) return;
  const guests = uses.filter(({ open }) => open).map(({ devnum }) => devnum);
  const opener = await findUnexplainedOpener(snapshot, wanted.mapper, guests);
  if (opener !== undefined) yield opener;
}

/** Returns whether a device is `devnum` itself or a partition of it. */
function isDiskOf(snapshot: StorageSnapshot, devnum: Devnum, device: Devnum): boolean {
  const disk = snapshot.block(device)?.partition?.disk;
  return sameDevnum(device, devnum) || (disk !== undefined && sameDevnum(disk, devnum));
}

/**
 * Returns whether the program that has an image open is the QEMU of the same virtual machine that
 * is to get the image. That QEMU serves the image as an emulated disk.
 */
async function isOwnDeviceModel(
  { domid }: LocalUse,
  wanted: SharingRequest,
  { store, sameVm, signal }: SharingContext,
): Promise<boolean> {
  if (domid === undefined || wanted.domid === undefined) return false;
  if (domid === wanted.domid) return true;
  const [theirs, ours] = await readDomains(store, [domid, wanted.domid], { signal });
  return theirs !== undefined && ours !== undefined && compareVms(ours, theirs, sameVm) === 'same';
}

/**
 * Returns a predicate that tells whether a use of some bytes forbids the export of these extents.
 */
function clashesWith(
  { sharing, access }: SharingRequest,
  extents: readonly Extent[],
): (theirAccess: Access, theirs: readonly Extent[]) => boolean {
  return (theirAccess, theirs) =>
    overlap(
      extents,
      theirs,
      (a, b) => !mayShare(sharing, accessThrough(access, a), accessThrough(theirAccess, b)),
    );
}

/** Returns how an extent is used. Some bytes are only read, even by a user that may write. */
function accessThrough(access: Access, { readOnly }: Extent): Access {
  return readOnly ? 'read-only' : access;
}
