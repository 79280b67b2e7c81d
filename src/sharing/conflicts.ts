import { type Devnum, sameDevnum } from '../linux/devnum.js';
import type { DeviceMap } from '../topology/device-map.js';
import { type Extent, overlap } from '../topology/extent.js';
import { findImageUses } from '../topology/image-uses.js';
import type { Access, LocalUse, UnexplainedUse } from '../topology/local-use.js';
import { findLocalUses } from '../topology/local-uses.js';
import type { Surroundings } from '../topology/nearby.js';
import type { Reach } from '../topology/reach.js';
import { findUnexplainedLoops, findUnexplainedOpener } from '../topology/unexplained-openers.js';
import { breathe } from '../util/breathe.js';
import { sameVbd, type VbdPath } from '../vbd/vbd-path.js';
import type { VbdUse, VbdUses } from '../vbd/vbd-uses.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { ExportUse } from './export-use.js';
import { findGuestUses, type GuestUse, isStale } from './guest-uses.js';
import { mayShare } from './matrix.js';
import {
  findPendingUses,
  isOpenFor,
  isPending,
  listPendingOpens,
  type PendingOpen,
  unexplainedOpens,
} from './pending-opens.js';
import { compareVms, readDomains, type SameVmRule } from './same-vm.js';

/** A use that forbids the export. */
export type Conflict = GuestUse | LocalUse | UnexplainedUse;

/** What a request is compared with. */
export interface SharingContext {
  readonly store: Xenstore;
  readonly uses: VbdUses;
  readonly surroundings: Surroundings;
  /** Where it is locked what blkback may still open. */
  readonly runDirectory: string;
  /** The vbd that is being attached: what stands there already is its own. */
  readonly own: VbdPath | undefined;
  readonly sameVm: SameVmRule;
  readonly signal: AbortSignal;
}

/**
 * Whether a use is on its way out as far as can be told: its vbd has no nodes any more, or nobody
 * explains it. It may end at any moment, when blkback closes the device.
 */
export function isDeparting(conflict: Conflict): boolean {
  return conflict.kind === 'unexplained' || (conflict.kind === 'guest' && conflict.nodesGone);
}

/**
 * What vbds have. Where an add waits for blkback to open what it has published, it holds the device: the
 * number is this device's, also if its sequence number has risen since.
 */
async function listUses(
  pending: readonly PendingOpen[],
  { uses, signal }: SharingContext,
): Promise<readonly VbdUse[]> {
  const all = await uses.list({ signal });
  if (pending.length === 0) return all;
  return all.map((use) => (isPending(pending, use) ? { ...use, diskseq: undefined } : use));
}

/** Finds the uses that forbid an export, guests first. Throws as the store and the kernel do. */
export async function* findConflicts(
  wanted: ExportUse,
  { map, reach }: { readonly map: DeviceMap; readonly reach: Reach },
  context: SharingContext,
): AsyncGenerator<Conflict> {
  const readers = !mayShare(wanted.sharing, wanted.access, 'read-only');
  if (!readers && mayShare(wanted.sharing, wanted.access, 'read-write')) return;
  const clashes = clashesWith(wanted, reach.extents);
  const known = new Set(reach.stack);
  // Before the uses: what blkback has opened by the time of this look is found among them.
  const pending = await listPendingOpens(context.runDirectory);
  const uses = await listUses(pending, context);
  // It takes a moment for each vbd there is.
  await breathe();
  const isOwn = ({ vbd }: VbdUse): boolean =>
    context.own !== undefined && sameVbd(vbd, context.own);
  const own = uses.filter(isOwn);
  const others = uses.filter((use) => (readers || use.writable) && !isOwn(use));
  for (const { devnum } of own) {
    for (const device of (await map.reach(devnum)).stack) known.add(device);
  }
  const devices = others.map(({ devnum }) => devnum);
  const nearby = await context.surroundings.near({ ...reach, map, devices, readers });
  const close = others.filter(({ devnum }) => nearby.mayHave(devnum));
  const look = { map, reach, clashes };
  for await (const { theirs, ...guest } of findGuestUses(wanted, close, look, context)) {
    // Claims within its stack are its own, and need no further explanation.
    for (const device of theirs.stack) known.add(device);
    if (!guest.tolerated) yield guest;
  }
  const isGuests = (devnum: Devnum): boolean =>
    uses.some((use) => sameDevnum(use.devnum, devnum) && !isStale(map, use));
  const query = { ...reach, known, nearby, clashes, isGuests, signal: context.signal };
  yield* findLocalUses(map, query);
  for (const image of findImageUses(query)) {
    if (!(await isOwnDeviceModel(image, wanted, context))) yield image;
  }
  yield* await findUnexplainedLoops(map, query);
  const isOurs = (open: PendingOpen): boolean =>
    (context.own !== undefined && isOpenFor(open, context.own)) ||
    (open.domid === wanted.domid && !wanted.encrypted);
  const unexplained = unexplainedOpens(pending, uses).filter((open) => !isOurs(open));
  yield* await findPendingUses(map, unexplained, query);
  if (wanted.mapper === undefined) return;
  const guests = uses.filter(({ open }) => open).map(({ devnum }) => devnum);
  const opener = await findUnexplainedOpener(map, wanted.mapper, guests);
  if (opener !== undefined) yield opener;
}

/** Whether it is QEMU that has an image open, for the guest that is to get it: an emulated disk. */
async function isOwnDeviceModel(
  { domid }: LocalUse,
  wanted: ExportUse,
  { store, sameVm, signal }: SharingContext,
): Promise<boolean> {
  if (domid === undefined || wanted.domid === undefined) return false;
  if (domid === wanted.domid) return true;
  const [theirs, ours] = await readDomains(store, [domid, wanted.domid], { signal });
  return theirs !== undefined && ours !== undefined && compareVms(ours, theirs, sameVm) === 'same';
}

/** Whether a use of some bytes forbids the export of others. */
function clashesWith(
  { sharing, access }: ExportUse,
  extents: readonly Extent[],
): (theirAccess: Access, theirs: readonly Extent[]) => boolean {
  return (theirAccess, theirs) =>
    overlap(
      extents,
      theirs,
      (a, b) => !mayShare(sharing, accessThrough(access, a), accessThrough(theirAccess, b)),
    );
}

/** Some bytes are only read, also by those who write to the device. */
function accessThrough(access: Access, { readOnly }: Extent): Access {
  return readOnly ? 'read-only' : access;
}

/** How the device of a vbd is used. */
export function accessOf(writable: boolean): Access {
  return writable ? 'read-write' : 'read-only';
}
