import { atMost } from '../util/at-most.js';
import { monotonicMs } from '../util/clock.js';
import { SystemError } from './errno.js';
import type { Place } from './place.js';

/** When this many calls to one place hang, further calls to that place are refused. */
const MOST_AT_PLACE = 8;
/**
 * When this many calls hang in all, further calls to any place are refused. Each hung call keeps a
 * thread.
 */
const MOST = 512;
/**
 * Milliseconds. A call that was given up sooner may come back in a moment, because its caller had
 * no patience.
 */
const HUNG_AFTER_MS = 1000;

/** A call that was given up and has not come back yet. */
export interface HungCall {
  /** The system call; `syscall` and `object` read like `open /mnt/a.img`. */
  readonly syscall: string;
  readonly object: string;
  /** The place that the call waits for; `undefined` as long as it is unknown. */
  readonly place: Place | undefined;
  /** The start of the call on the clock of `monotonicMs`; milliseconds. */
  readonly since: number;
}

/** All calls of this process that were given up and have not come back. */
const hung = new Set<{ -readonly [K in keyof HungCall]: HungCall[K] }>();
/** The hung calls, by the reason for which they were given up. */
const byReason = new WeakMap<object, HungCall>();
/** The searches for the places of hung calls. They never reject. */
const searches = new WeakMap<HungCall, Promise<void>>();
/** Longest wait for a search; milliseconds. */
const SEARCH_MS = 1500;

/** The entry of one hung call. */
export interface HungEntry {
  /** Notes the search for the place where the call hangs. The search never rejects. */
  placeAt(search: Promise<Place | undefined>): void;
  /** Notes that the call has come back. */
  end(): void;
}

/** Notes that a call has been given up for `reason`. */
export function noteHungCall(call: HungCall, reason: unknown): HungEntry {
  const entry = { ...call };
  hung.add(entry);
  if (typeof reason === 'object' && reason !== null) byReason.set(reason, entry);
  return {
    placeAt: (search) => {
      const found = search.then((place) => {
        if (place !== undefined) entry.place = place;
      });
      searches.set(entry, found);
    },
    end: () => void hung.delete(entry),
  };
}

/** Lists the calls that hang now, for administrators. */
export function listHungCalls(): readonly HungCall[] {
  return [...hung];
}

/** Tells whether there may be a place at which calls are refused. */
export function isAnyPlaceClosed(): boolean {
  // One place cannot have this many hung calls before all places together have as many.
  return hung.size >= MOST_AT_PLACE;
}

/**
 * Throws `SystemError` with the code `EHUNG` if too many calls hang at this place or in all. The
 * caller learns this at once instead of adding one more hung call.
 */
export function refuseWhereHung(syscall: string, object: string, place: Place | undefined): void {
  const before = monotonicMs() - HUNG_AFTER_MS;
  const here = [...hung].filter(
    (call) => call.place !== undefined && call.place.key === place?.key && call.since < before,
  );
  if (place !== undefined && here.length >= MOST_AT_PLACE) {
    throw refusal(syscall, object, place.description, here);
  }
  if (hung.size >= MOST) throw refusal(syscall, object, 'too much of this machine', [...hung]);
}

function refusal(
  syscall: string,
  object: string,
  who: string,
  calls: readonly HungCall[],
): SystemError {
  const oldest = Math.min(...calls.map(({ since }) => since));
  return new SystemError(
    `${syscall} ${object}: ${who} does not answer: ${calls.length} calls have not come back, the first of them for ${seconds(oldest)} s`,
    { code: 'EHUNG', syscall },
  );
}

/**
 * Waits until the place of the call that hung is known, at most `ms` and never more than 1500
 * milliseconds. `reason` is the reason for which work was given up. Never rejects.
 */
export async function awaitHungPlace(reason: unknown, ms = SEARCH_MS): Promise<void> {
  const call = typeof reason === 'object' && reason !== null ? byReason.get(reason) : undefined;
  const search = call && searches.get(call);
  if (search !== undefined) await atMost(Math.min(ms, SEARCH_MS), search);
}

/**
 * Describes the call that hung when work was given up for `reason`, as the end of a sentence.
 * `reason` is what the signal was aborted with. Returns `undefined` if no call hung.
 */
export function describeHungCall(reason: unknown): string | undefined {
  const call = typeof reason === 'object' && reason !== null ? byReason.get(reason) : undefined;
  if (call === undefined) return undefined;
  const who = call.place?.description ?? call.object;
  return `${who} does not answer (${call.syscall} ${call.object} has not come back for ${seconds(call.since)} s)`;
}

function seconds(since: number): number {
  return Math.round((monotonicMs() - since) / 1000);
}
