import { type Devnum, sameDevnum } from '../linux/devnum.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listVbds } from './list-vbds.js';
import type { OpenVbd, OpenVbds } from './open-vbds.js';
import type { PublicationIndex } from './publication-index.js';
import { readPublications, type VbdPublication } from './publications.js';
import type { VbdPath } from './vbd-path.js';

/** A device that blkback has open for a vbd, or is about to open. */
export interface VbdUse {
  readonly vbd: VbdPath;
  readonly devnum: Devnum;
  readonly writable: boolean;
  /** blkback has it open, as the kernel says: then the number cannot be another device's. */
  readonly open: boolean;
  /** The sequence number that was published with it, if one was. */
  readonly diskseq: bigint | undefined;
}

/** Knows which devices the vbds of this domain have. */
export interface VbdUses {
  /**
   * Those of which the kernel says that blkback has them open, and those that XenStore names to
   * blkback besides: all that were open or published before the call, and perhaps some more. Throws
   * `ESYSFS`, and as the store does.
   */
  list(options?: RequestOptions): Promise<readonly VbdUse[]>;
}

/** Reads XenStore and sysfs for every call, as a process does that lives for one add. */
export function readVbdUses(store: Xenstore, openVbds: OpenVbds): VbdUses {
  return {
    list: async (options) => {
      const vbds = await listVbds(store, options);
      const before = await openVbds.list();
      const open = new Set(before.map(({ vbd }) => vbd.backend));
      // What blkback has open is told by the kernel, and XenStore need not be asked about it.
      const others = vbds.filter(({ backend }) => !open.has(backend));
      const publications = await readPublications(store, others, options);
      // A vbd may have been opened, and its nodes deleted, since the kernel was asked.
      return joinUses([...before, ...(await openVbds.list())], publications);
    },
  };
}

/** The same from an index that is kept up to date by events. */
export function indexedVbdUses(publications: PublicationIndex, openVbds: OpenVbds): VbdUses {
  return {
    // The kernel is asked last: a vbd whose nodes are gone may still be open.
    list: async (options) => {
      const published = await publications.list(options);
      return joinUses(await openVbds.list(), published);
    },
  };
}

/** The union of what is open, of each vbd what was seen last, and of what is published. Pure. */
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
