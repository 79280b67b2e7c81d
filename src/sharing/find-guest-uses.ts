import { type Devnum, devnumFromStat, parseDevnum } from '../linux/devnum.js';
import { isBlockDevice, statWithinSecond } from '../linux/file-stat.js';
import { type Extent, overlap } from '../topology/extent.js';
import { extentsOfPath } from '../topology/file-extents.js';
import type { Access } from '../topology/local-use.js';
import { knownFileOfLoop } from '../topology/loop-backing.js';
import type { Reach } from '../topology/reach.js';
import { hasStorage, type StorageSnapshot } from '../topology/storage-snapshot.js';
import { type OtherDisk, readOtherDisks } from '../vbd/other-disks.js';
import { readVbdBackend } from '../vbd/vbd-backend.js';
import { backendNode, sameVbd, type VbdPath } from '../vbd/vbd-path.js';
import type { VbdUse } from '../vbd/vbd-uses.js';
import type { SharingContext } from './find-conflicts.js';
import { listPendingOpensFor } from './pending-opens.js';
import { compareVms, type DomainIdentity, readDomains } from './same-vm.js';
import type { SharingRequest } from './sharing-request.js';

/** A use by another vbd that has some of the bytes. */
export interface GuestUse {
  readonly kind: 'guest';
  readonly access: Access;
  readonly vbd: VbdPath;
  readonly domain: DomainIdentity;
  /**
   * The kernel's name of the vbd's device, or the path of the file that QEMU serves to the guest.
   */
  readonly path: string;
  /** The number of that device; `undefined` for a file. */
  readonly devnum: Devnum | undefined;
  /** Whether blkback has the device open, according to the kernel. */
  readonly open: boolean;
  /**
   * Whether the vbd names the number for another device that had it before. blkback may still open
   * the number, and would then have this device.
   */
  readonly stale: boolean;
  /** Whether XenStore no longer knows the vbd, although blkback has the device open. */
  readonly nodesGone: boolean;
  /** Whether the vbd belongs to the same virtual machine, which may share bytes with itself. */
  readonly tolerated: boolean;
  /** Why the use is not tolerated, where one would expect that it is. */
  readonly despite: 'encrypted-layer' | 'unreadable-vm' | undefined;
}

interface Candidate
  extends Pick<GuestUse, 'vbd' | 'access' | 'path' | 'devnum' | 'open' | 'stale'> {
  readonly theirs: Reach;
}

/** The bytes of the export that other uses are compared with. */
interface WantedBytes {
  readonly snapshot: StorageSnapshot;
  readonly reach: Reach;
  /** Returns whether a use with this access to these bytes forbids the export. */
  readonly clashes: (access: Access, extents: readonly Extent[]) => boolean;
}

/**
 * Finds the uses by other guests that have bytes of an export: those among the given vbds, and the
 * disks that QEMU or tapdisk serves. Throws as the store and the kernel do.
 */
export async function* findGuestUses(
  wanted: SharingRequest,
  uses: readonly VbdUse[],
  bytes: WantedBytes,
  context: SharingContext,
): AsyncGenerator<GuestUse & { readonly theirs: Reach }> {
  const { store, signal, own } = context;
  const disks = wanted.sharing === 'allow' ? [] : await readOtherDisks(store, { signal });
  const others = disks.filter(({ vbd }) => own === undefined || !sameVbd(vbd, own));
  const comparisons = [
    ...uses.map((use) => compare(use, bytes, context)),
    ...others.map((disk) => compareOther(disk, bytes)),
  ];
  const candidates = (await Promise.all(comparisons)).filter((found) => found !== undefined);
  if (candidates.length === 0) return;
  const domids = new Set(candidates.map(({ vbd }) => vbd.domid));
  if (wanted.domid !== undefined) domids.add(wanted.domid);
  const [domains, frontends] = await Promise.all([
    readDomains(store, [...domids], { signal }),
    store.readMany(
      candidates.map(({ vbd }) => backendNode(vbd, 'frontend')),
      { signal },
    ),
  ]);
  const self = domains.find(({ domid }) => domid === wanted.domid);
  for (const [index, candidate] of candidates.entries()) {
    const domain = domains.find(({ domid }) => domid === candidate.vbd.domid);
    if (domain === undefined) continue;
    const nodesGone = frontends[index] === undefined;
    const kinship = self === undefined ? 'other' : compareVms(self, domain, context.sameVm);
    // A disk that the toolstack has already taken away from its guest is not shared with that
    // guest: the disk is about to be closed.
    const isKin = kinship === 'same' && !nodesGone && !candidate.stale;
    const encrypted = isKin && (await isEncryptedApart(wanted, candidate.theirs, bytes));
    const unreadable = kinship === 'unreadable' ? 'unreadable-vm' : undefined;
    yield {
      kind: 'guest',
      ...candidate,
      domain,
      nodesGone,
      tolerated: isKin && !encrypted,
      despite: encrypted ? 'encrypted-layer' : unreadable,
    };
  }
}

/**
 * Compares the device of a vbd. Returns `undefined` unless its bytes forbid the export. A vbd that may
 * get the device for one that had its number before forbids it whatever both do: the guest was never to
 * have this device.
 */
async function compare(
  use: VbdUse,
  { snapshot, reach, clashes }: WantedBytes,
  context: SharingContext,
): Promise<Candidate | undefined> {
  const { vbd, devnum, open, writable } = use;
  // Only a device that blkback does not have open can be stale: another device may have its number
  // now.
  const stale = isStale(snapshot, use);
  if (stale) {
    if (!(await mayStillOpen(use, context))) return undefined;
  } else if (!open) {
    const file = await knownFileOfLoop(devnum, use.diskseq);
    if (file !== undefined && !hasStorage(reach.extents, file)) return undefined;
  }
  const theirs = await snapshot.reachWithin(devnum, reach.extents);
  const path = theirs && snapshot.block(devnum)?.path;
  if (theirs === undefined || path === undefined) return undefined;
  const access = writable ? 'read-write' : 'read-only';
  const isHarmful = stale
    ? overlap(reach.extents, theirs.extents)
    : clashes(access, theirs.extents);
  return isHarmful ? { vbd, access, path, devnum, open, stale, theirs } : undefined;
}

/**
 * Returns whether blkback may still open the number that a vbd names, whatever device has it by
 * then. A blkback that compares sequence numbers refuses another device.
 */
async function mayStillOpen(
  { vbd, pending }: VbdUse,
  { store, runDirectory, signal }: SharingContext,
): Promise<boolean> {
  if (!pending) return false;
  const backend = await readVbdBackend(store, vbd, { nodes: ['opened', 'error'], signal });
  if (backend.bytes('opened') !== undefined) return false;
  if (!backend.hasFailedToOpen) return true;
  // The error may be about an earlier device, and then blkback opens the named one next.
  return (await listPendingOpensFor(runDirectory, vbd)).length > 0;
}

/** How long to wait for the open of a file that QEMU or tapdisk serves; milliseconds. */
const OPEN_MS = 1000;

/**
 * Compares a disk that QEMU or tapdisk serves. Its bytes are those of the device or file that its
 * toolstack names. Returns `undefined` unless they forbid the export.
 */
async function compareOther(
  { vbd, devnum, path, writable }: OtherDisk,
  { snapshot, reach, clashes }: WantedBytes,
): Promise<Candidate | undefined> {
  const found =
    devnum === undefined && path !== undefined ? await statWithinSecond(path) : undefined;
  const device = devnum ?? (found && isBlockDevice(found) ? devnumFromStat(found.rdev) : undefined);
  const isFile = device === undefined && found !== undefined && path !== undefined;
  const extents = isFile ? await extentsOfPath(path, found, AbortSignal.timeout(OPEN_MS)) : [];
  const theirs = device
    ? await snapshot.reachWithin(device, reach.extents)
    : { extents, stack: new Set<string>(), unclaimed: [] };
  const access = writable ? 'read-write' : 'read-only';
  if (theirs === undefined || !clashes(access, theirs.extents)) return undefined;
  const name = (device && snapshot.block(device)?.path) ?? path ?? '';
  return { vbd, access, path: name, devnum: device, open: false, stale: false, theirs };
}

/** Returns whether the number that a vbd names belongs to another device by now. */
export function isStale(snapshot: StorageSnapshot, { devnum, diskseq, open }: VbdUse): boolean {
  return !open && diskseq !== undefined && diskseq !== snapshot.diskseq(devnum);
}

/**
 * Returns whether only one of the two uses sees the bytes through a layer with a key of its own.
 * Each use then destroys what the other one writes, even if both belong to one virtual machine.
 */
async function isEncryptedApart(
  wanted: SharingRequest,
  theirs: Reach,
  { snapshot, reach }: WantedBytes,
): Promise<boolean> {
  if (wanted.encrypted) return true;
  for (const key of theirs.stack) {
    const devnum = reach.stack.has(key) ? undefined : parseDevnum(key);
    if (devnum === undefined || snapshot.block(devnum)?.kind !== 'mapper') continue;
    const state = await snapshot.mapper(devnum);
    const isOurs = state?.uuid.startsWith('XENVBD-') ?? false;
    if (isOurs && state?.targets.some(({ type }) => type === 'crypt')) return true;
  }
  return false;
}
