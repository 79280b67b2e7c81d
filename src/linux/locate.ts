import { pause } from '../util/retry.js';
import { closeDescriptor } from './blocking.js';
import { isSystemError } from './errno.js';
import { walk } from './path-steps.js';
import { type Place, placeOfFd } from './place.js';

/** After this time a step on the way is taken for the one that hangs, if it still does after as long; milliseconds. */
const STEP_MS = 500;
/** So often a path is followed anew where it was only slow. */
const FOLLOWS = 3;
/** So many searches at a time: as many as it takes for a place to be closed to the rest of them. */
const LANES = 8;

const lanes: Promise<unknown>[] = Array.from({ length: LANES }, () => Promise.resolve());
let searches = 0;

/**
 * Finds out where the open of a path hangs, by following it until that hangs too, or is refused where
 * enough of them hang.
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
    /** One for each step. */
    get signal(): AbortSignal {
      return AbortSignal.timeout(STEP_MS);
    },
    gaveUp: (promise: Promise<void>): void => {
      cameBack = promise;
    },
  };
  try {
    const fd = await walk(path, flags, request, (place) => {
      at = place;
    });
    // It hangs in the file or device itself, and not on the way.
    at = placeOfFd(fd);
    await closeDescriptor(fd, path);
    return at;
  } catch (error) {
    if (isSystemError(error, 'EHUNG')) return at;
    if (cameBack === undefined) return undefined;
    // A machine that is merely busy must not close a healthy file system to everybody.
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
