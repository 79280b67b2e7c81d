import { listVbds } from './list-vbds.js';
import { backendNode, type VbdPath } from './vbd-path.js';
import type { RequestOptions, Xenstore } from './xenstore.js';

/** A vbd that names a device to blkback, whoever wrote it; values as they stand in XenStore. */
export interface VbdPublication {
  readonly vbd: VbdPath;
  readonly physicalDevice: string;
  readonly diskseq: string | undefined;
  readonly mode: string | undefined;
}

/** Knows what the vbds of this domain's backends name to blkback. */
export interface Publications {
  /** All of them, those that were committed before the call included. */
  list(options?: RequestOptions): Promise<readonly VbdPublication[]>;
}

/** The nodes that make up a publication. */
export const PUBLICATION_NODES = ['physical-device', 'diskseq', 'mode'] as const;

/** Reads the whole of it for every call, in one pass: what a process does that lives for one add. */
export function storePublications(store: Xenstore): Publications {
  return {
    list: async (options) => await readPublications(store, await listVbds(store, options), options),
  };
}

/** Reads the publications of some vbds in one trip; those that name no device are left out. */
export async function readPublications(
  store: Xenstore,
  vbds: readonly VbdPath[],
  options?: RequestOptions,
): Promise<VbdPublication[]> {
  const paths = vbds.flatMap((vbd) => PUBLICATION_NODES.map((node) => backendNode(vbd, node)));
  const values = await store.readMany(paths, options);
  return vbds.flatMap((vbd, index) => {
    const from = index * PUBLICATION_NODES.length;
    const [physicalDevice, diskseq, mode] = values
      .slice(from, from + PUBLICATION_NODES.length)
      .map((value) => value?.toString('utf8'));
    return physicalDevice === undefined ? [] : [{ vbd, physicalDevice, diskseq, mode }];
  });
}
