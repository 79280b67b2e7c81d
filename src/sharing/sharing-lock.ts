import type { FileWindow } from '../block/loop/backing-file.js';
import type { PinnedPath } from '../block/open-path.js';
import type { Extent } from '../topology/extent.js';
import { monotonicMs } from '../util/clock.js';
import { pause } from '../util/retry.js';
import { backendNode } from '../vbd/vbd-path.js';
import { describeConflict, guestSentence } from './describe-conflict.js';
import { type Conflict, findConflicts, mayEndSoon, type SharingContext } from './find-conflicts.js';
import { SharingError } from './sharing-error.js';
import { reachOfPath, type SharingRequest } from './sharing-request.js';
import { lockStorage, locksOf, type StorageLock } from './storage-locks.js';

/**
 * How often an export may find that its stack has changed and take other locks. A device whose
 * stack is rebuilt all the time cannot be judged.
 */
const RELOCKS = 5;
/** How long to wait for a use that may end at any moment; milliseconds. */
const PATIENCE_MS = 1500;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;

/**
 * The locks of one export. Until it is disposed, no other export opens, checks or publishes the
 * same storage.
 *
 * An add takes it before it opens the device. Otherwise another add would mistake the loop device
 * that this add makes for itself for a conflicting use. The add keeps it until the publication is
 * in XenStore, because that is where all other adds look.
 */
export class SharingLock implements AsyncDisposable {
  readonly #runDirectory: string;
  readonly #exclusive: boolean;
  #locks: readonly StorageLock[];
  #lock: AsyncDisposable | undefined;

  private constructor(runDirectory: string, exclusive: boolean) {
    this.#runDirectory = runDirectory;
    this.#exclusive = exclusive;
    this.#locks = [];
  }

  /** Returns a lock that locks nothing yet. `requireFree` locks what the export stands on. */
  static unlocked(terms: {
    readonly runDirectory: string;
    readonly exclusive: boolean;
  }): SharingLock {
    return new SharingLock(terms.runDirectory, terms.exclusive);
  }

  /**
   * Locks the storage that a path leads to. Throws `ELOCK`, or the signal's reason.
   *
   * @param terms `exclusive` is for an export that writes. Without `checked` nothing is locked,
   *   because no uses will be compared that another export may be about to begin.
   */
  static async acquire(
    pinned: PinnedPath,
    window: FileWindow,
    terms: {
      readonly runDirectory: string;
      readonly exclusive: boolean;
      readonly checked: boolean;
    },
    signal: AbortSignal,
  ): Promise<SharingLock> {
    const lock = SharingLock.unlocked(terms);
    if (!terms.checked) return lock;
    const { reach } = await reachOfPath(pinned, window, signal);
    await lock.#relock(lock.#locksOf(reach.extents), signal);
    return lock;
  }

  /**
   * Makes sure that no present use forbids the export. Waits a moment for a use that is about to
   * end. Throws `EBUSY` with a sentence that says who has the bytes, or that the stack keeps
   * changing; `ELOCK`; the signal's reason.
   */
  async requireFree(wanted: SharingRequest, context: SharingContext): Promise<void> {
    const isLocked = wanted.sharing !== 'allow';
    const end = monotonicMs() + PATIENCE_MS;
    let relocksLeft = RELOCKS;
    for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(ms * 2, LONGEST_PAUSE_MS)) {
      const seen = await wanted.readReach(context.signal);
      const locks = this.#locksOf(seen.reach.extents);
      if (isLocked && !locks.every((lock) => this.#has(lock))) {
        if (relocksLeft-- === 0) throw stackKeepsChanging(wanted);
        await this.#relock(locks, context.signal);
        continue;
      }
      // Nobody else has most files open. This answer spares a look at every vbd and loop device.
      // Another add of the same file is no danger: it has to wait for this lock before it looks.
      if (wanted.isSoleOpener()) return;
      const conflict = await firstConflict(findConflicts(wanted, seen, context));
      if (conflict === undefined) return;
      if (!mayEndSoon(conflict) || monotonicMs() > end) {
        throw await busyError(wanted, conflict, context);
      }
      await pause(ms / 2 + (Math.random() * ms) / 2, context.signal);
    }
  }

  #locksOf(extents: readonly Extent[]): StorageLock[] {
    return locksOf(extents, this.#exclusive);
  }

  #has({ key, exclusive }: StorageLock): boolean {
    return this.#locks.some((lock) => lock.key === key && (lock.exclusive || !exclusive));
  }

  async #relock(locks: readonly StorageLock[], signal: AbortSignal): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#lock = await lockStorage(this.#runDirectory, locks, signal);
    this.#locks = locks;
  }

  /** Releases the locks. May be called more than once. */
  async [Symbol.asyncDispose](): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    await lock?.[Symbol.asyncDispose]();
  }
}

/** Returns a conflict that lasts, if there is one; otherwise a conflict that may end. */
async function firstConflict(conflicts: AsyncIterable<Conflict>): Promise<Conflict | undefined> {
  let ending: Conflict | undefined;
  for await (const conflict of conflicts) {
    if (!mayEndSoon(conflict)) return conflict;
    ending ??= conflict;
  }
  return ending;
}

function stackKeepsChanging({ subject }: SharingRequest): SharingError {
  return new SharingError(`${subject} stands on other devices each time it is looked at`, {
    code: 'EBUSY',
  });
}

/**
 * Returns the error that refuses an export, with code `EBUSY` and a sentence that names the
 * conflict.
 */
async function busyError(
  wanted: SharingRequest,
  conflict: Conflict,
  context: SharingContext,
): Promise<SharingError> {
  return new SharingError(await explainConflict(wanted, conflict, context), {
    code: 'EBUSY',
    guestMessage: guestSentence(wanted),
  });
}

/**
 * Returns the sentence that names a conflict. Asks XenStore for the name that the disk has in
 * another guest, where a guest stands in the way, and throws as the store does.
 */
export async function explainConflict(
  wanted: SharingRequest,
  conflict: Conflict,
  { store, signal }: SharingContext,
): Promise<string> {
  if (conflict.kind !== 'guest') return describeConflict(wanted, conflict, undefined);
  const [vdev] = await store.readMany([backendNode(conflict.vbd, 'dev')], { signal });
  return describeConflict(wanted, conflict, vdev?.toString('utf8'));
}
