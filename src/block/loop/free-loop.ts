import { isSystemError } from '../../linux/errno.js';
import { O_RDWR, OwnedFd } from '../../linux/fd.js';
import { HAS_LOOP_DISKSEQ } from '../../linux/kernel-version.js';
import { addLoop, getFreeLoop, removeLoop } from '../../linux/loop-ioctl.js';
import { isInMemory } from '../../linux/memory-file.js';
import { monotonicMs } from '../../util/clock.js';
import { type RetryOptions, retry } from '../../util/retry.js';
import { isStillSpare, listLoops, listSpareLoops, type SpareLoop } from './spare-loops.js';

const LOOP_CONTROL = '/dev/loop-control';
/** Longest wait for the removal of a loop device that was made for nothing; milliseconds. */
const DISCARD_MS = 1000;
const isBusy = (error: unknown): boolean => isSystemError(error, 'EBUSY');
const AT_ONCE = { attempts: 1, firstDelayMs: 0, maxDelayMs: 0, retryOn: isBusy };
/** Some seconds: a close that has begun elsewhere has to end first. */
const PATIENTLY = { attempts: 20, firstDelayMs: 10, maxDelayMs: 500, retryOn: isBusy };
/** For this time one list of all loop devices serves every search; milliseconds. */
const LIST_MS = 100;

/**
 * Numbers of loop devices that this process is about to bind. The kernel calls such a device free
 * until it is bound, and gives the same number to everybody who asks. Binding takes as long as the
 * backing file needs.
 */
const claimed = new Set<number>();

/** Opens /dev/loop-control. Throws `SystemError`. */
export function openLoopControl(): OwnedFd {
  return OwnedFd.openSync(LOOP_CONTROL, O_RDWR);
}

/**
 * A claim on an unbound loop device. Nothing else in this process takes the device meanwhile, but
 * other processes may.
 */
export interface FreeLoop {
  readonly number: number;
  /**
   * Tells whether the device may be bound. To be called while the caller has the device open: from
   * then on the device cannot be bound by another process, published, and unbound again unseen.
   */
  mayBeBound(): Promise<boolean>;
  /** Ends the claim after the device has been bound. */
  release(): void;
  /**
   * Ends the claim of a device that was not bound. A device that was made for this claim is
   * removed. Never rejects.
   */
  discard(): Promise<void>;
  /**
   * Does the same after a call that was given up, and that may still bind the device, has come
   * back. The last close clears the device in that case, and the removal waits for this close.
   */
  discardAfter(cameBack: Promise<void>): void;
}

/** The options of a search for a free loop device. */
export interface FreeLoopOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Returns those of some unbound loop devices that a vbd names, so that they must not be bound.
   */
  readonly findNamed?: ((numbers: readonly number[]) => Promise<ReadonlySet<number>>) | undefined;
}

/**
 * Finds free loop devices for one file, one after another, until one of them can be bound. The
 * kernel names the same device to everybody who asks. When many processes ask at once, all but one
 * of them come too late each time. After the first failure this search therefore picks any of the
 * free devices.
 */
export class FreeLoopSearch {
  readonly #control: OwnedFd;
  readonly #options: FreeLoopOptions;
  readonly #refused = new Set<number>();
  #isFirst = true;
  #spares: SpareLoop[] = [];

  constructor(control: OwnedFd, options: FreeLoopOptions) {
    this.#control = control;
    this.#options = options;
  }

  /** Claims the next free loop device. Throws as `claimFreeLoop` does. */
  async claim(): Promise<FreeLoop> {
    if (this.#isFirst || !HAS_LOOP_DISKSEQ) {
      this.#isFirst = false;
      return await this.#claimAny();
    }
    if (this.#spares.length === 0) this.#spares = await this.#listSpares();
    for (let spare = this.#spares.pop(); spare !== undefined; spare = this.#spares.pop()) {
      const seen = spare;
      if (claimed.has(seen.number) || !isStillSpare(seen)) continue;
      return claim(seen.number, false, async () => isStillSpare(seen));
    }
    return await this.#claimAny();
  }

  /** Notes that a device must not be bound. The kernel goes on calling the device free. */
  refuse({ number }: FreeLoop): void {
    this.#refused.add(number);
  }

  async #claimAny(): Promise<FreeLoop> {
    return await claimFreeLoop(this.#control, this.#options, this.#refused);
  }

  async #listSpares(): Promise<SpareLoop[]> {
    const isTaken = (number: number): boolean => claimed.has(number) || this.#refused.has(number);
    const spares = listSpareLoops(isTaken);
    // The names are looked for after the spares were listed. A process that binds a spare after that
    // changes the diskseq of the spare, and `isStillSpare` notices the change.
    const named = await this.#options.findNamed?.(spares.map(({ number }) => number));
    return spares.filter(({ number }) => !named?.has(number));
  }
}

/**
 * Finds a free loop device and claims it, or makes a device if none is free. Throws `SystemError`,
 * and the reason of `signal` when `signal` is aborted.
 */
export async function claimFreeLoop(
  control: OwnedFd,
  { signal, findNamed }: FreeLoopOptions = {},
  refused: ReadonlySet<number> = new Set(),
): Promise<FreeLoop> {
  const mayBind = (number: number) => async (): Promise<boolean> =>
    !(await findNamed?.([number]))?.has(number);
  // LOOP_CTL_GET_FREE does not say whether it has made a device. A count of devices would not do, as
  // others make devices at the same time: an old number would pass as a new one.
  const before = new Set(listLoops());
  const first = await getFreeLoop(control, { signal });
  const isMade = !before.has(first);
  for (let free: number | undefined = first; free !== undefined; free = nextUnbound()) {
    if (claimed.has(free) || refused.has(free)) continue;
    // Also a device that was made for this call: another process may have got the same number, and
    // may have bound, published and left it already.
    return claim(free, isMade && free === first, mayBind(free));
  }
  const made = await addLoop(control, {
    signal,
    onAbandonedSuccess: (late) => void takeAway(late, AT_ONCE),
  });
  return claim(made, true, mayBind(made));
}

function claim(number: number, isMade: boolean, mayBeBound: () => Promise<boolean>): FreeLoop {
  claimed.add(number);
  const discard = async (how: RetryOptions): Promise<void> => {
    if (isMade) await takeAway(number, how);
    claimed.delete(number);
  };
  return {
    number,
    mayBeBound,
    release: () => void claimed.delete(number),
    discard: () => discard(AT_ONCE),
    discardAfter: (cameBack) => void cameBack.then(() => discard(PATIENTLY)),
  };
}

/**
 * Removes a loop device. A device that another process has taken meanwhile is bound or open, and
 * stays.
 */
async function takeAway(number: number, how: RetryOptions): Promise<void> {
  try {
    await using control = openLoopControl();
    await retry(how, () => removeLoop(control, number, AbortSignal.timeout(DISCARD_MS)));
  } catch {
    // The device stays unbound, and the next search for a free device finds it.
  }
}

/** The loop devices of the last list that no search has looked at yet. */
let unbound: number[] = [];
/** The time of the list that `unbound` comes from, on the clock of `monotonicMs`. */
let listedAt = Number.NEGATIVE_INFINITY;

/** Returns the number of an existing loop device that is unbound and not claimed. */
function nextUnbound(): number | undefined {
  if (unbound.length === 0 && monotonicMs() - listedAt > LIST_MS) {
    listedAt = monotonicMs();
    unbound = listLoops();
  }
  for (let number = unbound.pop(); number !== undefined; number = unbound.pop()) {
    const directory = `/sys/block/loop${number}`;
    if (claimed.has(number) || isInMemory(`${directory}/loop/backing_file`)) continue;
    if (isInMemory(directory)) return number;
  }
  return undefined;
}
