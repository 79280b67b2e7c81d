import { BlkbackError } from '../errors.js';
import { isSystemError } from '../linux/errno.js';
import { type LoopAnswer, readLoopStatuses } from '../linux/loop-statuses.js';
import { monotonicMs } from '../util/clock.js';

/**
 * The error of a loop device whose status cannot be had, because its file does not answer. What the
 * loop device stands on must be found out in another way, or remains unknown.
 */
export class UnansweredLoop extends BlkbackError {
  /** N of /dev/loopN. */
  readonly number: number;

  constructor(number: number, why: string, code = 'EUNANSWERED') {
    super(`what /dev/loop${number} stands on cannot be told: ${why}`, { code });
    this.number = number;
  }
}

/** How many loop devices one trip to another thread asks at most, each within some microseconds. */
const CHUNK = 64;
/**
 * How long a chunk may take; milliseconds. A loop device that takes longer holds up the rest of its
 * chunk. Each of them is then asked by itself.
 */
const CHUNK_MS = 100;
/** A loop device that has not answered after this time counts as silent; milliseconds. */
export const SILENT_MS = 1000;

/** A question to one loop device, and the functions that settle the promise of its answer. */
interface Question {
  readonly number: number;
  readonly resolve: (answer: LoopAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** The questions of this turn of the event loop, by the number of the loop device. */
const batch = new Map<number, Question & { readonly answer: Promise<LoopAnswer> }>();
/** The questions that are asked one by one, by the number of the loop device. */
const askedAlone = new Map<number, Promise<unknown>>();
/** Loop devices that have not answered, by their number, each with the time of the question. */
const silentSince = new Map<number, number>();

/**
 * Asks a loop device for its status, as it is at some time after the call. All who ask in one turn
 * of the event loop share one trip to another thread.
 *
 * Throws `UnansweredLoop` for a loop device that does not answer within a second. Throws it at once
 * as long as an earlier call to the loop device has not come back.
 */
export async function askLoop(number: number): Promise<LoopAnswer> {
  // A question under way may have its answer already, and that answer may be older than this call.
  await askedAlone.get(number);
  const since = silentSince.get(number);
  if (since !== undefined) throw silence(number, since);
  const shared = batch.get(number);
  if (shared !== undefined) return await shared.answer;
  if (batch.size === 0) queueMicrotask(askAll);
  let question: Question = { number, resolve: () => {}, reject: () => {} };
  const answer = new Promise<LoopAnswer>((resolve, reject) => {
    question = { number, resolve, reject };
  });
  batch.set(number, { ...question, answer });
  return await answer;
}

function silence(number: number, since: number): UnansweredLoop {
  const seconds = Math.round((monotonicMs() - since) / 1000);
  return new UnansweredLoop(number, `LOOP_GET_STATUS64 has not come back for ${seconds} s`);
}

function askAll(): void {
  const all = [...batch.values()];
  batch.clear();
  for (let at = 0; at < all.length; at += CHUNK) void askChunk(all.slice(at, at + CHUNK));
}

async function askChunk(questions: readonly Question[]): Promise<void> {
  const [only] = questions;
  if (questions.length === 1 && only !== undefined) return await askAlone(only);
  const signal = AbortSignal.timeout(CHUNK_MS);
  try {
    const numbers = questions.map(({ number }) => number);
    const answers = await readLoopStatuses(numbers, { signal });
    questions.forEach(({ resolve }, index) => {
      const answer = answers[index];
      if (answer !== undefined) resolve(answer);
    });
  } catch (error) {
    if (signal.aborted && error === signal.reason) {
      for (const question of questions) void askAlone(question);
    } else {
      for (const { number, reject } of questions) reject(unasked(number, error));
    }
  }
}

/**
 * Returns the error for a loop device that could not be asked. Where too many calls hang (`EHUNG`),
 * nothing is wrong with the question, and what the loop device stands on is merely unknown.
 */
function unasked(number: number, error: unknown): unknown {
  return isSystemError(error, 'EHUNG') ? new UnansweredLoop(number, error.message) : error;
}

/** Asks one loop device by itself, and settles the answer. Never rejects. */
async function askAlone({ number, resolve, reject }: Question): Promise<void> {
  const since = monotonicMs();
  const signal = AbortSignal.timeout(SILENT_MS);
  const onAbandoned = (cameBack: Promise<void>): void => {
    silentSince.set(number, since);
    void cameBack.then(() => silentSince.delete(number));
  };
  const settled = readLoopStatuses([number], { signal, onAbandoned }).then(
    ([answer]) => answer && resolve(answer),
    (error) => {
      reject(error === signal.reason ? silence(number, since) : unasked(number, error));
    },
  );
  askedAlone.set(number, settled);
  await settled;
  if (askedAlone.get(number) === settled) askedAlone.delete(number);
}
