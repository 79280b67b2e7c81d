import { errorCode } from '../errors.js';
import { pollPatiently } from '../util/poll.js';
import { pause } from '../util/retry.js';
import { limitTime } from '../util/time-limit.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { PROBED_NODE } from './list-publications.js';
import type { OpenVbds } from './open-vbds.js';
import { VbdError } from './vbd-error.js';
import { backendNode, sameVbd, type VbdPath } from './vbd-path.js';
import type { ListUsesOptions, VbdUse } from './vbd-uses.js';
import { XenbusState } from './xenbus-state.js';

/** One reading of all vbds. */
export interface UsesReading {
  readonly uses: readonly VbdUse[];
  /** The vbds of the kernel that have nothing open, and that XenStore did not show as probed. */
  readonly unknown: readonly VbdPath[];
}

/** How long blkback usually has a device open after its vbd has left sysfs; milliseconds. */
const CLOSING_MS = 100;

/**
 * Lists uses with `read`. Repeats this while a vbd of the first reading may still get a device of
 * which nobody knows. Throws `ETIMEDOUT`, with the name of such a vbd, when the time is up.
 */
export async function listSettled(
  store: Xenstore,
  openVbds: OpenVbds,
  options: ListUsesOptions,
  read: () => Promise<UsesReading>,
): Promise<readonly VbdUse[]> {
  const { signal, patienceMs } = options;
  const readings = new Readings(store, openVbds, options, read);
  const early = await readings.listIfSettled();
  if (early !== undefined && !readings.hasEnded) return early;
  const waits = patienceMs === undefined ? undefined : limitTime(patienceMs, signal);
  try {
    const ask = () => readings.listIfSettled();
    const uses = early ?? (await pollPatiently(waits?.signal ?? signal ?? NEVER, ask));
    if (!readings.hasEnded) return uses;
    // blkback may still be about to close the device of the vbd that has ended, and nobody has seen
    // which device that is.
    await pause(CLOSING_MS, signal);
    return (await readings.next()).uses;
  } catch (error) {
    const [first] = readings.ending ?? [];
    const isLate = error === signal?.reason && errorCode(error) === 'ETIMEDOUT';
    if (first === undefined || !(isLate || error === waits?.late.reason)) throw error;
    throw describe(first.vbd, error);
  }
}

/** A vbd at the time of a reading. */
interface SeenVbd {
  readonly vbd: VbdPath;
  /** The instance that the kernel has of it. Another one may be made under the same name. */
  readonly instance: bigint | undefined;
}

/** The readings of one call of `listSettled`, and what they have shown so far. */
class Readings {
  readonly #store: Xenstore;
  readonly #openVbds: OpenVbds;
  readonly #options: ListUsesOptions;
  readonly #read: () => Promise<UsesReading>;
  /** The uses of the first reading for which blkback had nothing open yet. */
  #pending: readonly (SeenVbd & { readonly use: VbdUse })[] | undefined;
  /** The vbds of the first reading that may still get a device of which nobody knows. */
  ending: readonly SeenVbd[] | undefined;
  /** Whether a vbd of the first reading has ended since. */
  hasEnded = false;

  constructor(
    store: Xenstore,
    openVbds: OpenVbds,
    options: ListUsesOptions,
    read: () => Promise<UsesReading>,
  ) {
    this.#store = store;
    this.#openVbds = openVbds;
    this.#options = options;
    this.#read = read;
  }

  /**
   * Reads all vbds once more. Between two readings, the nodes of a vbd may be deleted or made anew.
   * blkback may all the same open what they named to an instance that the kernel still has, so such
   * uses of the first reading stay in the list.
   */
  async next(): Promise<{ uses: readonly VbdUse[]; seen: readonly SeenVbd[] }> {
    const { uses, unknown } = await this.#read();
    // The instances are noted at once: a vbd may end while its nodes are read.
    const seen = unknown.map((vbd) => this.#note(vbd));
    this.#pending ??= uses
      .filter(({ pending }) => pending)
      .map((use) => ({ use, ...this.#note(use.vbd) }));
    const kept = this.#pending.filter(({ vbd, instance }) =>
      seen.some((other) => sameVbd(other.vbd, vbd) && other.instance === instance),
    );
    return { uses: [...uses, ...kept.map(({ use }) => use)], seen };
  }

  /** Reads all vbds once more. Returns the uses unless a vbd has to be waited for. */
  async listIfSettled(): Promise<readonly VbdUse[] | undefined> {
    const { uses, seen } = await this.next();
    const before = this.ending;
    // A vbd that came after the first reading is not waited for. The list need not have its device.
    const left = before === undefined ? seen : seen.filter(({ vbd }) => isAmong(before, vbd));
    this.hasEnded ||= before?.some((one) => this.#isGone(one)) ?? false;
    const found = await findEnding(this.#store, left, this.#options);
    // A vbd that has ended by now may have been made anew and taken up, and is not found then.
    this.hasEnded ||= left.some((one) => this.#isGone(one));
    this.ending = found.filter(({ vbd }) => this.#mayGetDevice(vbd));
    return this.ending.length === 0 ? uses : undefined;
  }

  #mayGetDevice(vbd: VbdPath): boolean {
    const { isExplained = () => false } = this.#options;
    return !this.#openVbds.isWithoutDriver(vbd) && !isExplained(vbd);
  }

  #note(vbd: VbdPath): SeenVbd {
    return { vbd, instance: this.#openVbds.instanceOf(vbd) };
  }

  #isGone({ vbd, instance }: SeenVbd): boolean {
    return instance === undefined || this.#openVbds.instanceOf(vbd) !== instance;
  }
}

const NEVER = new AbortController().signal;

function isAmong(ending: readonly SeenVbd[], vbd: VbdPath): boolean {
  return ending.some((other) => sameVbd(other.vbd, vbd));
}

/**
 * Returns those vbds of the kernel whose nodes are gone, or were made anew and not taken up yet.
 *
 * blkback reads the number of a device in one step and opens the device in another step, which a
 * stalled disk can delay without limit. An add that is killed in between lets its device go, and a
 * toolstack may then delete the nodes. Only the vbd itself is left, as blkback ends it after the
 * open: the kernel handles one event after another (drivers/xen/xenbus/xenbus_xs.c,
 * xenwatch_thread). Until then, blkback may open any device.
 *
 * A vbd in state 2 or 4 has been taken up, too, because only blkback writes these states. It goes
 * on where a quota keeps it from making the other nodes (xenbus.c, xen_blkbk_probe).
 */
async function findEnding(
  store: Xenstore,
  unknown: readonly SeenVbd[],
  options: RequestOptions,
): Promise<SeenVbd[]> {
  if (unknown.length === 0) return [];
  const nodes = [PROBED_NODE, 'state'];
  const paths = unknown.flatMap(({ vbd }) => nodes.map((node) => backendNode(vbd, node)));
  const values = await store.readMany(paths, options);
  return unknown.filter((_, index) => {
    const [probed, state] = values.slice(index * nodes.length, (index + 1) * nodes.length);
    const isTakenUp = TAKEN_UP.includes(state?.toString() ?? '');
    return probed === undefined && !isTakenUp;
  });
}

const TAKEN_UP: readonly string[] = [XenbusState.InitWait, XenbusState.Connected];

function describe({ sysfsName, backend, domid, devid }: VbdPath, cause: unknown): VbdError {
  return new VbdError(
    `blkback may be about to open any device for ${sysfsName}: it has not ended this vbd, although the nodes in XenStore are gone or were made anew (${backend}). If a disk of domain ${domid} hangs, wait until the disk answers; if none hangs, detach the vbd (xl block-detach --force ${domid} ${devid})`,
    {
      code: 'ETIMEDOUT',
      cause,
      guestMessage: 'the backend domain cannot tell yet whether others have its disk',
    },
  );
}
