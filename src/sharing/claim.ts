import type { FileWindow } from '../block/loop/backing-file.js';
import type { PinnedPath } from '../block/open-path.js';
import type { Extent } from '../topology/extent.js';
import { monotonicMs } from '../util/clock.js';
import { pause } from '../util/retry.js';
import { backendNode } from '../vbd/vbd-path.js';
import { type BaseLock, lockBases, locksOf } from './base-locks.js';
import { type Conflict, findConflicts, isDeparting, type SharingContext } from './conflicts.js';
import { type ExportUse, reachOfPath } from './export-use.js';
import { describeConflict, guestSentence } from './sentence.js';
import { SharingError } from './sharing-error.js';

/** A device whose stack is rebuilt all the time cannot be judged. */
const ATTEMPTS = 5;
/** How long a use that may end at any moment is waited for; milliseconds. */
const PATIENCE_MS = 1500;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;

/**
 * Keeps all others from opening, checking and publishing the same bytes, until it is disposed. It is
 * taken before the device is opened: the loop device that an add makes for itself would else be taken
 * for a use by the other one, and the publication must be in XenStore before the lock ends, where all
 * others will look.
 */
export class SharingClaim implements AsyncDisposable {
  readonly #runDirectory: string;
  readonly #exclusive: boolean;
  #locks: readonly BaseLock[];
  #lock: AsyncDisposable | undefined;

  private constructor(runDirectory: string, exclusive: boolean) {
    this.#runDirectory = runDirectory;
    this.#exclusive = exclusive;
    this.#locks = [];
  }

  /**
   * Locks what a path leads to. Throws `ELOCK`; the signal's reason.
   *
   * @param place `exclusive` for an export that writes; without `checked` nothing is locked, as
   *   nothing will be compared.
   */
  static async lock(
    pinned: PinnedPath,
    window: FileWindow,
    place: {
      readonly runDirectory: string;
      readonly exclusive: boolean;
      readonly checked: boolean;
    },
    signal: AbortSignal,
  ): Promise<SharingClaim> {
    const claim = new SharingClaim(place.runDirectory, place.exclusive);
    if (!place.checked) return claim;
    const { reach } = await reachOfPath(pinned, window, signal);
    await claim.#relock(claim.#locksOf(reach.extents), signal);
    return claim;
  }

  /**
   * Makes sure that an export meets no use that forbids it. One that is on its way out is waited for a
   * little. Throws `EBUSY` with a sentence that says who has the bytes; `ELOCK`; the signal's reason.
   */
  async requireFree(wanted: ExportUse, context: SharingContext): Promise<void> {
    if (wanted.sharing === 'allow') return;
    const end = monotonicMs() + PATIENCE_MS;
    let left = ATTEMPTS;
    for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(ms * 2, LONGEST_PAUSE_MS)) {
      const seen = await wanted.look(context.signal);
      const locks = this.#locksOf(seen.reach.extents);
      if (!locks.every((lock) => this.#has(lock))) {
        if (left-- === 0) throw restless(wanted);
        await this.#relock(locks, context.signal);
        continue;
      }
      // So it is with most files, and it spares a look at every vbd and loop device that there is.
      // Another add of the same file has its look still to come, behind this lock.
      if (wanted.isAlone()) return;
      const conflict = await firstConflict(findConflicts(wanted, seen, context));
      if (conflict === undefined) return;
      if (!isDeparting(conflict) || monotonicMs() > end) {
        throw await busyError(wanted, conflict, context);
      }
      await pause(ms / 2 + (Math.random() * ms) / 2, context.signal);
    }
  }

  #locksOf(extents: readonly Extent[]): BaseLock[] {
    return locksOf(extents, this.#exclusive);
  }

  #has({ key, exclusive }: BaseLock): boolean {
    return this.#locks.some((lock) => lock.key === key && (lock.exclusive || !exclusive));
  }

  async #relock(locks: readonly BaseLock[], signal: AbortSignal): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#lock = await lockBases(this.#runDirectory, locks, signal);
    this.#locks = locks;
  }

  /** Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    await lock?.[Symbol.asyncDispose]();
  }
}

/** One that lasts, if there is one; else one that may end. */
async function firstConflict(conflicts: AsyncIterable<Conflict>): Promise<Conflict | undefined> {
  let departing: Conflict | undefined;
  for await (const conflict of conflicts) {
    if (!isDeparting(conflict)) return conflict;
    departing ??= conflict;
  }
  return departing;
}

function restless({ subject }: ExportUse): SharingError {
  return new SharingError(`${subject} stands on other devices each time it is looked at`, {
    code: 'EBUSY',
  });
}

/** The refusal, with a sentence that names the conflict. */
export async function busyError(
  wanted: ExportUse,
  conflict: Conflict,
  context: SharingContext,
): Promise<SharingError> {
  return new SharingError(await explainConflict(wanted, conflict, context), {
    code: 'EBUSY',
    guestMessage: guestSentence(wanted),
  });
}

/** That sentence. */
export async function explainConflict(
  wanted: ExportUse,
  conflict: Conflict,
  { store, signal }: SharingContext,
): Promise<string> {
  if (conflict.kind !== 'guest') return describeConflict(wanted, conflict, undefined);
  const [vdev] = await store.readMany([backendNode(conflict.vbd, 'dev')], { signal });
  return describeConflict(wanted, conflict, vdev?.toString('utf8'));
}
