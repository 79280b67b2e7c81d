import { type Devnum, sameDevnum } from '../linux/devnum.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listPublications, type VbdPublication } from './list-publications.js';
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
}

/** A source that knows which devices the vbds of this domain have. */
export interface VbdUses {
  /**
   * Lists the devices that blkback has open, as the kernel says, and the devices that XenStore
   * names to blkback besides. The list has all devices that were open or published before the call,
   * and perhaps some later ones. Throws `ESYSFS`, and the errors of the store.
   */
  list(options?: RequestOptions): Promise<readonly VbdUse[]>;
}

/**
 * Returns a source that reads XenStore and sysfs for every call. It is for a process that lives for
 * one add.
 */
export function readVbdUses(store: Xenstore, openVbds: OpenVbds): VbdUses {
  return {
    list: async (options) => {
      const vbds = await listVbds(store, options);
      const before = await openVbds.list();
      const open = new Set(before.map(({ vbd }) => vbd.backend));
      // The kernel tells about the vbds that blkback has open, and XenStore need not be asked about
      // them.
      const others = vbds.filter(({ backend }) => !open.has(backend));
      const publications = await listPublications(store, others, options);
      // Since the first look, a vbd may have been opened and its nodes may have been deleted.
      return joinUses([...before, ...(await openVbds.list())], publications);
    },
  };
}

/** Returns a source that uses an index which events keep up to date. */
export function indexedVbdUses(publications: PublicationIndex, openVbds: OpenVbds): VbdUses {
  return {
    // The kernel is asked last: a vbd whose nodes are gone may still be open.
    list: async (options) => {
      const published = await publications.list(options);
      return joinUses(await openVbds.list(), published);
    },
  };
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
