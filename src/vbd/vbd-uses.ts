import { type Devnum, sameDevnum } from '../linux/devnum.js';
import { CoalescedRuns } from '../util/coalesced-runs.js';
import { orAborted } from '../util/or-aborted.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listSettled } from './ending-vbds.js';
import { readPublications, type VbdPublication } from './list-publications.js';
import { listVbds } from './list-vbds.js';
import type { OpenVbd, OpenVbds } from './open-vbds.js';
import type { PublicationIndex } from './publication-index.js';
import type { VbdPath } from './vbd-path.js';

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
  /**
   * Whether blkback may still open the number, as the kernel has the vbd and nothing is open for it
   * yet. A blkback without sequence numbers then opens whatever device has the number by that time.
   */
  readonly pending: boolean;
}

/** The options of `VbdUses.list`. */
export interface ListUsesOptions extends RequestOptions {
  /** Returns whether the caller knows which device blkback may still open for a vbd. */
  readonly isExplained?: ((vbd: VbdPath) => boolean) | undefined;
  /** The device numbers whose uses are listed. By default, all uses are listed. */
  readonly numbers?: readonly Devnum[] | undefined;
  /**
   * How long to wait for vbds that may get a device of which nobody knows; milliseconds. By default,
   * until the signal is aborted.
   */
  readonly patienceMs?: number | undefined;
}

/** A source that knows which devices the vbds of this domain have. */
export interface VbdUses {
  /**
   * Lists the devices that blkback has open, as the kernel says, and the devices that XenStore
   * names to blkback besides. The list has all devices that were open or published before the call,
   * and perhaps some later ones. Waits while blkback may open a device that nobody knows
   * (`listSettled`). Throws `ESYSFS`, `ETIMEDOUT` after a wait in vain, the errors of the store, and
   * the signal's reason.
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
        const before = openVbds.list();
        const known = new Set(before.map(({ vbd }) => vbd.backend));
        // The kernel tells about the vbds that blkback has open, and XenStore need not be asked
        // about them.
        const others = vbds.filter(({ backend }) => !known.has(backend));
        const { probed, publications } = await readPublications(store, others, options);
        // Since `before`, a vbd may have been opened and its nodes may have been deleted.
        const after = openVbds.listAll();
        const open = [...before, ...after.open];
        const uses = joinUses(open, publications, after.idle, options.numbers);
        return { uses, unknown: without(after.idle, probed) };
      }),
  };
}

/**
 * Returns a source that uses an index which events keep up to date. One reading serves all who have
 * asked before it begins: where many guests start at once, each reading has to look at every vbd for
 * which blkback has nothing open yet.
 */
export function indexedVbdUses(
  store: Xenstore,
  index: PublicationIndex,
  openVbds: OpenVbds,
): VbdUses {
  const readings = new CoalescedRuns(async () => {
    const { probed, publications } = await index.list();
    // The kernel is asked last: a vbd whose nodes are gone may still be open.
    return { probed, publications, kernel: openVbds.listAll() };
  });
  return {
    list: (options = {}) =>
      listSettled(store, openVbds, options, async () => {
        const { probed, publications, kernel } = await orAborted(readings.next(), options.signal);
        const uses = joinUses(kernel.open, publications, kernel.idle, options.numbers);
        return { uses, unknown: without(kernel.idle, probed) };
      }),
  };
}

function without(vbds: readonly VbdPath[], others: readonly VbdPath[]): VbdPath[] {
  if (vbds.length === 0) return [];
  const left = new Set(others.map(({ backend }) => backend));
  return vbds.filter(({ backend }) => !left.has(backend));
}

/**
 * Returns the union of open and published devices. Where a vbd occurs more than once among the open
 * ones, the last entry counts. Pure.
 *
 * @param idle the vbds of the kernel that have nothing open.
 * @param numbers the numbers whose uses are wanted; by default, all.
 */
export function joinUses(
  open: readonly OpenVbd[],
  publications: readonly VbdPublication[],
  idle: readonly VbdPath[],
  numbers?: readonly Devnum[],
): VbdUse[] {
  // There may be a thousand vbds, and few of them have a number that is asked for.
  const isWanted = (devnum: Devnum): boolean =>
    numbers?.some((number) => sameDevnum(number, devnum)) ?? true;
  const waiting = new Set(idle.map(({ backend }) => backend));
  const known = new Map<string, OpenVbd>();
  for (const use of open) if (isWanted(use.devnum)) known.set(use.vbd.backend, use);
  const uses: VbdUse[] = [...known.values()];
  for (const { vbd, mode, device } of publications) {
    if (device === undefined || !isWanted(device.devnum)) continue;
    const found = known.get(vbd.backend);
    if (found !== undefined && sameDevnum(found.devnum, device.devnum)) continue;
    const pending = waiting.has(vbd.backend);
    uses.push({ ...device, vbd, writable: mode?.includes('w') ?? true, open: false, pending });
  }
  return uses;
}
