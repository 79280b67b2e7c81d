import { statSync } from 'node:fs';
import { isSystemError } from '../../linux/errno.js';
import { O_RDWR, OwnedFd } from '../../linux/fd.js';
import { TELLS_LOOPS_APART } from '../../linux/kernel-version.js';
import { addLoop, getFreeLoop, removeLoop } from '../../linux/loop-ioctl.js';
import { isInMemory } from '../../linux/memory-file.js';
import { monotonicMs } from '../../util/clock.js';
import { type RetryOptions, retry } from '../../util/retry.js';
import { isStillSpare, listLoops, listSpareLoops, type SpareLoop } from './spare-loops.js';

const LOOP_CONTROL = '/dev/loop-control';
/** Time for taking back what was made for nothing; milliseconds. */
const DISCARD_MS = 1000;
const isBusy = (error: unknown): boolean => isSystemError(error, 'EBUSY');
const AT_ONCE = { attempts: 1, firstDelayMs: 0, maxDelayMs: 0, retryOn: isBusy };
/** Some seconds: a close that has been begun elsewhere comes first. */
const PATIENTLY = { attempts: 20, firstDelayMs: 10, maxDelayMs: 500, retryOn: isBusy };
/** How long one look at all loop devices serves everybody who asks; milliseconds. */
const LOOK_MS = 100;

/**
 * Numbers that this process is about to bind. The kernel calls them free until that has happened, which
 * takes as long as the backing file does, and would give the same one to all who ask.
 */
const claimed = new Set<number>();

export function openLoopControl(): OwnedFd {
  return OwnedFd.openSync(LOOP_CONTROL, O_RDWR);
}

/** An unbound loop device that nobody else in this process takes. Other processes may. */
export interface FreeLoop {
  readonly number: number;
  /** Ends the claim: it is bound. */
  release(): void;
  /** The same where it was for nothing; a device that was made for it is taken away. Never rejects. */
  discard(): Promise<void>;
  /** The same when a call that may still bind it has come back: the last close clears it after that. */
  discardAfter(cameBack: Promise<void>): void;
}

export interface FreeLoopOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Numbers of loop devices that must not be bound although they are free. Asked only where a device
   * is to be used again that was there before.
   */
  readonly avoid?: (() => Promise<ReadonlySet<number>>) | undefined;
}

/**
 * Finds free loop devices for one file, one after another, until one can be bound. The kernel names the
 * same one to all who ask, and so, where many processes ask at once, all but one of them come too late
 * each time: after the first failure it is any of the free ones.
 */
export class FreeLoopSearch {
  readonly #control: OwnedFd;
  readonly #options: FreeLoopOptions;
  #isFirst = true;
  #spares: SpareLoop[] = [];

  constructor(control: OwnedFd, options: FreeLoopOptions) {
    this.#control = control;
    this.#options = options;
  }

  /** Throws as `claimFreeLoop` does. */
  async claim(): Promise<FreeLoop> {
    if (this.#isFirst || !TELLS_LOOPS_APART) {
      this.#isFirst = false;
      return await claimFreeLoop(this.#control, this.#options);
    }
    if (this.#spares.length === 0) this.#spares = await this.#listSpares();
    for (let spare = this.#spares.pop(); spare !== undefined; spare = this.#spares.pop()) {
      if (!claimed.has(spare.number) && isStillSpare(spare)) return claim(spare.number, false);
    }
    return await claimFreeLoop(this.#control, this.#options);
  }

  async #listSpares(): Promise<SpareLoop[]> {
    const spares = listSpareLoops((number) => claimed.has(number));
    // Asked after they were seen: who has bound one and published it since has changed its diskseq.
    const avoid = await this.#options.avoid?.();
    return spares.filter(({ number }) => !avoid?.has(number));
  }
}

/**
 * Finds a free loop device, or makes one where there is none. Throws `SystemError`, or what `signal` is
 * aborted with.
 */
export async function claimFreeLoop(
  control: OwnedFd,
  { signal, avoid }: FreeLoopOptions = {},
): Promise<FreeLoop> {
  const before = countBlocks();
  const first = await getFreeLoop(control, { signal });
  const isMade = countBlocks() > before;
  for (let number: number | undefined = first; number !== undefined; number = nextUnbound()) {
    if (claimed.has(number)) continue;
    const found = claim(number, isMade && number === first);
    try {
      if ((isMade && number === first) || !(await avoid?.())?.has(number)) return found;
    } catch (error) {
      await found.discard();
      throw error;
    }
    found.release();
  }
  const made = await addLoop(control, { signal, late: (late) => void takeAway(late, AT_ONCE) });
  return claim(made, true);
}

function claim(number: number, isMade: boolean): FreeLoop {
  claimed.add(number);
  const discard = async (how: RetryOptions): Promise<void> => {
    if (isMade) await takeAway(number, how);
    claimed.delete(number);
  };
  return {
    number,
    release: () => void claimed.delete(number),
    discard: () => discard(AT_ONCE),
    discardAfter: (cameBack) => void cameBack.then(() => discard(PATIENTLY)),
  };
}

/** One that somebody else has taken meanwhile is bound or open, and stays. */
async function takeAway(number: number, how: RetryOptions): Promise<void> {
  try {
    await using control = openLoopControl();
    await retry(how, () => removeLoop(control, number, AbortSignal.timeout(DISCARD_MS)));
  } catch {
    // The next one that needs a loop device finds it.
  }
}

/**
 * How many block devices there are that stand for no hardware. LOOP_CTL_GET_FREE does not say whether it
 * has made one, and a list of hundreds before each call would take longer than the call.
 */
function countBlocks(): number {
  return statSync('/sys/devices/virtual/block', { throwIfNoEntry: false })?.nlink ?? 0;
}

let unbound: number[] = [];
let lookedAt = Number.NEGATIVE_INFINITY;

/** A loop device that is there, unbound, and not claimed. */
function nextUnbound(): number | undefined {
  if (unbound.length === 0 && monotonicMs() - lookedAt > LOOK_MS) {
    lookedAt = monotonicMs();
    unbound = listLoops();
  }
  for (let number = unbound.pop(); number !== undefined; number = unbound.pop()) {
    const directory = `/sys/block/loop${number}`;
    if (claimed.has(number) || isInMemory(`${directory}/loop/backing_file`)) continue;
    if (isInMemory(directory)) return number;
  }
  return undefined;
}
