import { monotonicMs } from '../util/clock.js';
import { pause } from '../util/retry.js';
import { SystemError } from './errno.js';
import type { Place } from './place.js';

/** So many calls to one place may hang before those who come after are refused. */
const MOST_AT_PLACE = 8;
/** The same for all places together: each call keeps a thread. */
const MOST = 512;
/** Milliseconds. One that was given up sooner may come back in a moment: its caller had no patience. */
const HUNG_AFTER_MS = 1000;

/** A call that was given up and has not come back yet. */
export interface HungCall {
  /** As in `open /mnt/a.img`. */
  readonly syscall: string;
  readonly object: string;
  /** `undefined` while it is not known what it waits for. */
  readonly place: Place | undefined;
  /** When it was begun, as `monotonicMs` has it. */
  readonly since: number;
}

/** Every call of this process that was given up and is still out. */
const hung = new Set<{ -readonly [K in keyof HungCall]: HungCall[K] }>();
/** What hung when something was given up, by the reason for which it was. */
const byReason = new WeakMap<object, HungCall>();
/** The searches for where that is, which never reject. */
const searches = new WeakMap<HungCall, Promise<void>>();
/** How long one is waited for; milliseconds. */
const SEARCH_MS = 1500;

/** The entry of one hung call. */
export interface HungEntry {
  /** To be called with the search for where it hangs, which never rejects. */
  placeAt(search: Promise<Place | undefined>): void;
  /** To be called when the call has come back. */
  end(): void;
}

/** Notes that a call has been given up, for a reason. */
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

/** The calls that hang now, for those who look after the process. */
export function listHungCalls(): readonly HungCall[] {
  return [...hung];
}

/** Whether there is any place at which calls are refused. */
export function isAnyPlaceClosed(): boolean {
  // One place cannot have that many before all of them together do.
  return hung.size >= MOST_AT_PLACE;
}

/**
 * Throws `EHUNG` where too many calls hang already: at this place, or in all. Whoever comes after is
 * told at once instead of adding one more.
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

/** Waits a moment until it is known where the call hung for which work was given up. */
export async function awaitHungPlace(reason: unknown, ms = SEARCH_MS): Promise<void> {
  const call = typeof reason === 'object' && reason !== null ? byReason.get(reason) : undefined;
  const search = call && searches.get(call);
  if (search === undefined) return;
  const patience = new AbortController();
  const late = pause(Math.min(ms, SEARCH_MS), patience.signal).catch(() => undefined);
  await Promise.race([search, late]);
  patience.abort();
}

/**
 * Says which call hung when work was given up for `reason` (what its signal was aborted with), as the
 * end of a sentence; `undefined` if none did.
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
