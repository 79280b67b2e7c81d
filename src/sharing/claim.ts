import type { BlockDevice } from '../block/block-device.js';
import { baseKeys } from '../topology/extent.js';
import { handOver } from '../util/hand-over.js';
import { type Publications, storePublications } from '../vbd/publications.js';
import { backendNode, type VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { lockBases } from './base-locks.js';
import { type ExportTerms, type ExportUse, exportUse } from './export-use.js';
import { findRivals, type Rival, type Surroundings } from './rivals.js';
import { describeRival } from './sentence.js';
import { SharingError } from './sharing-error.js';

/** A device whose stack is rebuilt all the time cannot be judged. */
const ATTEMPTS = 5;

export interface ClaimOptions {
  readonly store: Xenstore;
  readonly vbd: VbdPath;
  readonly runDirectory: string;
  readonly signal: AbortSignal;
  /** By default all of XenStore is read. */
  readonly publications?: Publications | undefined;
}

/** Claims an open device for a vbd on some terms, as `claimExport` does. */
export async function claimDevice(
  device: BlockDevice,
  terms: Omit<ExportTerms, 'domid'>,
  { store, vbd, signal, runDirectory, ...options }: ClaimOptions,
): Promise<AsyncDisposable> {
  const publications = options.publications ?? storePublications(store);
  const around = { store, publications, own: vbd, signal, runDirectory };
  return await claimExport(exportUse(device, { ...terms, domid: vbd.domid }), around);
}

/**
 * Makes sure that an export meets no use that forbids it, and that none is published before the claim
 * is disposed: the publication must be in XenStore by then, where all others will look. Throws `EBUSY`
 * with a sentence that says who has the bytes; `ELOCK`; the signal's reason.
 */
export async function claimExport(
  wanted: ExportUse,
  around: Surroundings & { readonly runDirectory: string },
): Promise<AsyncDisposable> {
  if (wanted.sharing === 'allow') return { [Symbol.asyncDispose]: async () => undefined };
  const exclusive = wanted.access === 'read-write';
  let keys = baseKeys((await wanted.look()).reach.extents);
  for (let left = ATTEMPTS; left > 0; left--) {
    const lock = await lockBases(around.runDirectory, keys, exclusive, around.signal);
    const moved = await handOver(lock, async () => await check(wanted, keys, around));
    if (moved === undefined) return lock;
    await lock[Symbol.asyncDispose]();
    keys = moved;
  }
  throw new SharingError(`${wanted.subject} stands on other devices each time it is looked at`, {
    code: 'EBUSY',
  });
}

/** Throws `EBUSY` for a rival. Returns the bases if they are others than the `locked` ones. */
async function check(
  wanted: ExportUse,
  locked: readonly string[],
  around: Surroundings,
): Promise<string[] | undefined> {
  // While the lock was waited for, another table may have been loaded.
  const seen = await wanted.look();
  const keys = baseKeys(seen.reach.extents);
  if (!keys.every((key) => locked.includes(key))) return keys;
  // So it is with most files, and it spares a look at every vbd and loop device that there is. A rival
  // that has not opened it yet has its look still to come, behind this lock.
  if (wanted.isAlone()) return undefined;
  for await (const rival of findRivals(wanted, seen, around)) {
    throw await busyError(wanted, rival, around);
  }
  return undefined;
}

/** The refusal, with a sentence that names the rival. */
export async function busyError(
  wanted: ExportUse,
  rival: Rival,
  around: Surroundings,
): Promise<SharingError> {
  return new SharingError(await explainRival(wanted, rival, around), { code: 'EBUSY' });
}

/** That sentence. */
export async function explainRival(
  wanted: ExportUse,
  rival: Rival,
  { store, signal }: Surroundings,
): Promise<string> {
  if (rival.kind !== 'guest') return describeRival(wanted, rival, undefined);
  const [vdev] = await store.readMany([backendNode(rival.vbd, 'dev')], { signal });
  return describeRival(wanted, rival, vdev?.toString('utf8'));
}
