import { type Devnum, sameDevnum } from '../linux/devnum.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listVbds } from './list-vbds.js';
import type { OpenVbd, OpenVbds } from './open-vbds.js';
import type { PublicationIndex } from './publication-index.js';
import { readPublications, type VbdPublication } from './publications.js';
import { parsePublished } from './published-device.js';
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

/** The union of what is open and what is published. Pure. */
export function joinUses(
  open: readonly OpenVbd[],
  publications: readonly VbdPublication[],
): VbdUse[] {
  const uses = new Map<string, VbdUse>();
  for (const { vbd, devnum, writable } of open) {
    uses.set(vbd.backend, { vbd, devnum, writable, open: true, diskseq: undefined });
  }
  const found = [...uses.values()];
  for (const publication of publications) {
    const { vbd, mode } = publication;
    const device = parsePublished(publication);
    if (device === undefined) continue;
    const known = uses.get(vbd.backend);
    if (known !== undefined && sameDevnum(known.devnum, device.devnum)) continue;
    found.push({ ...device, vbd, writable: mode?.includes('w') ?? true, open: false });
  }
  return found;
}
