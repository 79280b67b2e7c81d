import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listVbds } from './list-vbds.js';
import { backendNode, type VbdPath } from './vbd-path.js';

/** A vbd that names a device to blkback, whoever wrote it; values as they stand in XenStore. */
export interface VbdPublication {
  readonly vbd: VbdPath;
  readonly physicalDevice: string;
  readonly diskseq: string | undefined;
  readonly mode: string | undefined;
}

/** Knows what the vbds of this domain's backends name to blkback. */
export interface Publications {
  /**
   * Those that were committed before the call, and perhaps some more: all of them, or without those
   * whose `mode` says that they only read.
   */
  list(readers: boolean, options?: RequestOptions): Promise<readonly VbdPublication[]>;
}

/** The nodes that make up a publication. */
export const PUBLICATION_NODES = ['mode', 'physical-device', 'diskseq'] as const;

/** Reads the whole of it for every call, in one pass: what a process does that lives for one add. */
export function storePublications(store: Xenstore): Publications {
  return {
    list: async (readers, options) => {
      const vbds = await listVbds(store, options);
      return await readPublications(store, vbds, readers, options);
    },
  };
}

/** Reads the publications of some vbds in two trips; those that name no device are left out. */
export async function readPublications(
  store: Xenstore,
  vbds: readonly VbdPath[],
  readers: boolean,
  options?: RequestOptions,
): Promise<VbdPublication[]> {
  const read = async (some: readonly VbdPath[], node: (typeof PUBLICATION_NODES)[number]) => {
    const values = await store.readMany(
      some.map((vbd) => backendNode(vbd, node)),
      options,
    );
    return values.map((value) => value?.toString('utf8'));
  };
  const modes = await read(vbds, 'mode');
  const asked = vbds
    .map((vbd, index) => ({ vbd, mode: modes[index] }))
    .filter(({ mode }) => readers || mode?.includes('w'));
  const paths = asked.map(({ vbd }) => vbd);
  const [devices, diskseqs] = await Promise.all([
    read(paths, 'physical-device'),
    read(paths, 'diskseq'),
  ]);
  return asked.flatMap(({ vbd, mode }, index) => {
    const physicalDevice = devices[index];
    if (physicalDevice === undefined) return [];
    return [{ vbd, mode, physicalDevice, diskseq: diskseqs[index] }];
  });
}
