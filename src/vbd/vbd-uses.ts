import { type Devnum, sameDevnum } from '../linux/devnum.js';
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
  /** Tells of a vbd whether the caller knows which device blkback may still open for it. */
  readonly isExplained?: ((vbd: VbdPath) => boolean) | undefined;
  /** How long to wait for such vbds; milliseconds. By default, until the signal is aborted. */
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
        const before = await openVbds.list();
        const open = new Set(before.map(({ vbd }) => vbd.backend));
        // The kernel tells about the vbds that blkback has open, and XenStore need not be asked
        // about them.
        const others = vbds.filter(({ backend }) => !open.has(backend));
        const { probed, publications } = await readPublications(store, others, options);
        // Since the first look, a vbd may have been opened and its nodes may have been deleted.
        const after = await openVbds.look();
        const uses = joinUses([...before, ...after.open], publications, after.idle);
        return { uses, unknown: without(after.idle, probed) };
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
        const uses = joinUses(kernel.open, publications, kernel.idle);
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
 */
export function joinUses(
  open: readonly OpenVbd[],
  publications: readonly VbdPublication[],
  idle: readonly VbdPath[],
): VbdUse[] {
  const waiting = new Set(idle.map(({ backend }) => backend));
  const known = new Map<string, OpenVbd>();
  for (const use of open) known.set(use.vbd.backend, use);
  const uses: VbdUse[] = [...known.values()];
  for (const { vbd, mode, device } of publications) {
    if (device === undefined) continue;
    const found = known.get(vbd.backend);
    if (found !== undefined && sameDevnum(found.devnum, device.devnum)) continue;
    const pending = waiting.has(vbd.backend);
    uses.push({ ...device, vbd, writable: mode?.includes('w') ?? true, open: false, pending });
  }
  return uses;
}
