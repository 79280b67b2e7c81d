import { pause } from '../util/retry.js';
import { closeDescriptor } from './blocking-call.js';
import { isSystemError } from './errno.js';
import { walk } from './path-steps.js';
import { type Place, placeOfFd } from './place.js';

/**
 * A step that takes longer than this is given up. If it has not come back after the same time
 * again, it is the one that hangs. Milliseconds.
 */
const STEP_MS = 500;
/** How often a path is followed if the steps on it are only slow. */
const FOLLOWS = 3;
/**
 * This many searches run at a time. When as many calls hang at one place, further calls to that place
 * are refused (`MOST_AT_PLACE` in hung-calls.ts). The remaining searches end there at once then.
 */
const LANES = 8;

const lanes: Promise<unknown>[] = Array.from({ length: LANES }, () => Promise.resolve());
let searches = 0;

/**
 * Finds out where the open of a path hangs. The search follows the path until a step hangs too, or
 * is refused because enough calls hang there. Returns `undefined` if the place is unknown.
 */
export function locate(path: string, flags: number): Promise<Place | undefined> {
  const lane = searches++ % LANES;
  const search = Promise.resolve(lanes[lane]).then(() => follow(path, flags));
  lanes[lane] = search;
  return search;
}

async function follow(
  path: string,
  flags: number,
  triesLeft = FOLLOWS,
): Promise<Place | undefined> {
  let at: Place | undefined;
  let cameBack: Promise<void> | undefined;
  const request = {
    object: path,
    /** A new signal for each step. */
    get signal(): AbortSignal {
      return AbortSignal.timeout(STEP_MS);
    },
    onAbandoned: (promise: Promise<void>): void => {
      cameBack = promise;
    },
  };
  try {
    const fd = await walk(path, flags, request, (place) => {
      at = place;
    });
    // The open hangs in the file or device itself, and not on the way.
    at = placeOfFd(fd);
    await closeDescriptor(fd, path);
    return at;
  } catch (error) {
    if (isSystemError(error, 'EHUNG')) return at;
    if (cameBack === undefined) return undefined;
    // A step on a busy machine is only slow, and must not close a healthy file system to everybody.
    if (!(await isBackWithin(STEP_MS, cameBack))) return at;
    return triesLeft > 1 ? await follow(path, flags, triesLeft - 1) : undefined;
  }
}

async function isBackWithin(ms: number, cameBack: Promise<void>): Promise<boolean> {
  const patience = new AbortController();
  const late = pause(ms, patience.signal).then(
    () => false,
    () => false,
  );
  const isBack = await Promise.race([cameBack.then(() => true), late]);
  patience.abort();
  return isBack;
}
