import { errorCode } from '../errors.js';
import { pollPatiently } from '../util/poll.js';
import { pause } from '../util/retry.js';
import { limitTime } from '../util/time-limit.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { PROBED_NODE } from './list-publications.js';
import type { OpenVbds } from './open-vbds.js';
import { XenbusState } from './vbd-backend.js';
import { VbdError } from './vbd-error.js';
import { backendNode, sameVbd, type VbdPath } from './vbd-path.js';
import type { ListUsesOptions, VbdUse } from './vbd-uses.js';

/** One look at all vbds. */
export interface VbdLook {
  readonly uses: readonly VbdUse[];
  /** The vbds of the kernel that have nothing open, and that XenStore did not show as probed. */
  readonly unknown: readonly VbdPath[];
}

/** How long blkback usually has a device open after its vbd has left sysfs; milliseconds. */
const CLOSING_MS = 100;

/** A vbd that may still get a device of which nobody knows. */
interface EndingVbd {
  readonly vbd: VbdPath;
  /** The instance that the kernel has of it. */
  readonly instance: bigint | undefined;
}

/** What an instance of a vbd had in the first look. */
interface EarlierUse extends EndingVbd {
  readonly use: VbdUse;
}

/**
 * Looks until every vbd of the first look is known that may still get a device unseen. Throws
 * `ETIMEDOUT`, with the name of such a vbd, when the time is up.
 */
export async function listSettled(
  store: Xenstore,
  openVbds: OpenVbds,
  options: ListUsesOptions,
  look: () => Promise<VbdLook>,
): Promise<readonly VbdUse[]> {
  const { signal, patienceMs, isExplained = () => false } = options;
  let ending: readonly EndingVbd[] | undefined;
  let isClosing = false;
  // Another instance may have been made under the same name.
  const hasEnded = ({ vbd, instance }: EndingVbd): boolean =>
    instance === undefined || openVbds.instanceOf(vbd) !== instance;
  const note = (vbd: VbdPath): EndingVbd => ({ vbd, instance: openVbds.instanceOf(vbd) });
  let earlier: readonly EarlierUse[] | undefined;
  // While a look is repeated, the nodes of a vbd may be deleted or made anew. What they named to an
  // instance that the kernel still has, blkback may open all the same.
  const lookOn = async (): Promise<{ uses: readonly VbdUse[]; seen: readonly EndingVbd[] }> => {
    const { uses, unknown } = await look();
    // The instances are noted at once: a vbd may end while its nodes are read.
    const seen = unknown.map(note);
    earlier ??= uses.filter(({ pending }) => pending).map((use) => ({ use, ...note(use.vbd) }));
    const kept = earlier.filter(({ vbd, instance }) =>
      seen.some((other) => sameVbd(other.vbd, vbd) && other.instance === instance),
    );
    return { uses: [...uses, ...kept.map(({ use }) => use)], seen };
  };
  const settled = async (): Promise<readonly VbdUse[] | undefined> => {
    const { uses, seen } = await lookOn();
    // A vbd that has come since is waited for by no call that began before.
    const before = ending;
    const left = before === undefined ? seen : seen.filter(({ vbd }) => isAmong(before, vbd));
    isClosing ||= before?.some(hasEnded) ?? false;
    const found = await findEnding(store, left, options);
    // One that has ended by now may be there again, and be taken up.
    isClosing ||= left.some(hasEnded);
    ending = found.filter(({ vbd }) => !openVbds.isWithoutDriver(vbd) && !isExplained(vbd));
    return ending.length === 0 ? uses : undefined;
  };
  const early = await settled();
  if (early !== undefined && !isClosing) return early;
  const waits = patienceMs === undefined ? undefined : limitTime(patienceMs, signal);
  try {
    const uses = early ?? (await pollPatiently(waits?.signal ?? signal ?? NEVER, settled));
    if (!isClosing) return uses;
    // A vbd has ended whose device nobody has seen.
    await pause(CLOSING_MS, signal);
    return (await lookOn()).uses;
  } catch (error) {
    const [first] = ending ?? [];
    const isLate = error === signal?.reason && errorCode(error) === 'ETIMEDOUT';
    if (first === undefined || !(isLate || error === waits?.late.reason)) throw error;
    throw describe(first.vbd, error);
  }
}

const NEVER = new AbortController().signal;

function isAmong(ending: readonly EndingVbd[], vbd: VbdPath): boolean {
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
  unknown: readonly EndingVbd[],
  options: RequestOptions,
): Promise<EndingVbd[]> {
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
