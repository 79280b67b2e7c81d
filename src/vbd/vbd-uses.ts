import { errorCode } from '../errors.js';
import { type Devnum, sameDevnum } from '../linux/devnum.js';
import { pollPatiently } from '../util/poll.js';
import { pause } from '../util/retry.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { PROBED_NODE, readPublications, type VbdPublication } from './list-publications.js';
import { listVbds } from './list-vbds.js';
import type { KernelVbds, OpenVbd, OpenVbds } from './open-vbds.js';
import type { PublicationIndex } from './publication-index.js';
import { VbdError } from './vbd-error.js';
import { backendNode, sameVbd, type VbdPath } from './vbd-path.js';

/** A device that blkback has open for a vbd, or is about to open. */
export interface VbdUse {
  readonly vbd: VbdPath;
  readonly devnum: Devnum;
  readonly writable: boolean;
  /**
   * Whether blkback has the device open, as the kernel says. The number cannot be another device's
   * then.
   */
  readonly open: boolean;
  /** The sequence number that was published with the device, if one was. */
  readonly diskseq: bigint | undefined;
}

/** The options of `VbdUses.list`. */
export interface ListUsesOptions extends RequestOptions {
  /** Tells of a vbd whether the caller knows which device blkback may still open for it. */
  readonly isExplained?: ((vbd: VbdPath) => boolean) | undefined;
}

/** A source that knows which devices the vbds of this domain have. */
export interface VbdUses {
  /**
   * Lists the devices that blkback has open, as the kernel says, and the devices that XenStore
   * names to blkback besides. The list has all devices that were open or published before the call,
   * and perhaps some later ones. Waits while blkback may open a device that nobody knows
   * (`findEnding`). Throws `ESYSFS`, the errors of the store, and the signal's reason.
   */
  list(options?: ListUsesOptions): Promise<readonly VbdUse[]>;
}

/**
 * Returns a source that reads XenStore and sysfs for every call. It is for a process that lives for
 * one add.
 */
export function readVbdUses(store: Xenstore, openVbds: OpenVbds): VbdUses {
  return {
    list: (options = {}) =>
      listSettled(store, openVbds, options, async () => {
        const vbds = await listVbds(store, options);
        const before = await openVbds.list();
        const open = new Set(before.map(({ vbd }) => vbd.backend));
        // The kernel tells about the vbds that blkback has open, and XenStore need not be asked
        // about them.
        const others = vbds.filter(({ backend }) => !open.has(backend));
        const { probed, publications } = await readPublications(store, others, options);
        // Since the first look, a vbd may have been opened and its nodes may have been deleted.
        const after = await openVbds.look();
        const uses = joinUses([...before, ...after.open], publications);
        return { uses, kernel: after, unknown: without(after.idle, probed) };
      }),
  };
}

/** Returns a source that uses an index which events keep up to date. */
export function indexedVbdUses(
  store: Xenstore,
  index: PublicationIndex,
  openVbds: OpenVbds,
): VbdUses {
  return {
    list: (options = {}) =>
      listSettled(store, openVbds, options, async () => {
        const { probed, publications } = await index.list(options);
        // The kernel is asked last: a vbd whose nodes are gone may still be open.
        const kernel = await openVbds.look();
        const unknown = without(kernel.idle, probed);
        return { uses: joinUses(kernel.open, publications), kernel, unknown };
      }),
  };
}

function without(vbds: readonly VbdPath[], others: readonly VbdPath[]): VbdPath[] {
  if (vbds.length === 0) return [];
  const left = new Set(others.map(({ backend }) => backend));
  return vbds.filter(({ backend }) => !left.has(backend));
}

/** One look at all vbds. */
interface Look {
  readonly uses: readonly VbdUse[];
  readonly kernel: KernelVbds;
  /** The vbds of the kernel that have nothing open, and that XenStore did not show as probed. */
  readonly unknown: readonly VbdPath[];
}

/** How long blkback has a device open after its vbd has left sysfs, at most; milliseconds. */
const CLOSING_MS = 100;

/** Looks until every vbd of the first look is known that may still get a device unseen. */
async function listSettled(
  store: Xenstore,
  openVbds: OpenVbds,
  options: ListUsesOptions,
  look: () => Promise<Look>,
): Promise<readonly VbdUse[]> {
  const { signal = NEVER, isExplained = () => false } = options;
  let ending: readonly VbdPath[] | undefined;
  let isClosing = false;
  const settled = async (): Promise<readonly VbdUse[] | undefined> => {
    const { uses, kernel, unknown } = await look();
    // A vbd that has come since is waited for by no call that began before.
    const left = ending === undefined ? unknown : ending.filter((vbd) => isAmong(unknown, vbd));
    isClosing ||= ending?.some((vbd) => !isIn(kernel, vbd)) ?? false;
    const found = await findEnding(store, left, options);
    ending = found.filter((vbd) => !openVbds.isWithoutDriver(vbd) && !isExplained(vbd));
    return ending.length === 0 ? uses : undefined;
  };
  try {
    const uses = (await settled()) ?? (await pollPatiently(signal, settled));
    if (!isClosing) return uses;
    // A vbd has ended whose device nobody has seen.
    await pause(CLOSING_MS, signal);
    return (await look()).uses;
  } catch (error) {
    const [vbd] = ending ?? [];
    if (vbd === undefined || errorCode(error) !== 'ETIMEDOUT') throw error;
    throw new VbdError(
      `blkback may be about to open any device for ${vbd.sysfsName}, which it has not ended although its nodes in XenStore are gone or were made anew (${vbd.backend}): does a disk of that guest hang?`,
      { code: 'ETIMEDOUT', cause: error },
    );
  }
}

const NEVER = new AbortController().signal;

function isIn({ open, idle }: KernelVbds, vbd: VbdPath): boolean {
  return isAmong(idle, vbd) || open.some((other) => sameVbd(other.vbd, vbd));
}

function isAmong(vbds: readonly VbdPath[], vbd: VbdPath): boolean {
  return vbds.some((other) => sameVbd(other, vbd));
}

/**
 * Returns those vbds of the kernel whose nodes are gone, or were made anew and not taken up yet.
 *
 * blkback reads the number of a device in one step and opens the device in another step, which a
 * stalled disk can delay without limit. An add that is killed in between lets its device go, and a
 * toolstack may then delete the nodes. Only the vbd itself is left, as blkback ends it after the
 * open: the kernel handles one event after another (drivers/xen/xenbus/xenbus_xs.c,
 * xenwatch_thread). Until then, blkback may open any device.
 */
async function findEnding(
  store: Xenstore,
  unknown: readonly VbdPath[],
  options: RequestOptions,
): Promise<VbdPath[]> {
  if (unknown.length === 0) return [];
  const paths = unknown.map((vbd) => backendNode(vbd, PROBED_NODE));
  const marks = await store.readMany(paths, options);
  return unknown.filter((_, at) => marks[at] === undefined);
}

/**
 * Returns the union of open and published devices. Where a vbd occurs more than once among the open
 * ones, the last entry counts. Pure.
 */
export function joinUses(
  open: readonly OpenVbd[],
  publications: readonly VbdPublication[],
): VbdUse[] {
  const known = new Map<string, OpenVbd>();
  for (const use of open) known.set(use.vbd.backend, use);
  const uses: VbdUse[] = [...known.values()];
  for (const { vbd, mode, device } of publications) {
    if (device === undefined) continue;
    const found = known.get(vbd.backend);
    if (found !== undefined && sameDevnum(found.devnum, device.devnum)) continue;
    uses.push({ ...device, vbd, writable: mode?.includes('w') ?? true, open: false });
  }
  return uses;
}
