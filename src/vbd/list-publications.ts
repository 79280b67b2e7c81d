import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { type PublishedDevice, parsePublishedDevice } from './published-device.js';
import { backendNode, type VbdPath } from './vbd-path.js';

/**
 * The publication of a vbd: the nodes that name a device to blkback, whichever program wrote them.
 * Values are as they stand in XenStore.
 */
export interface VbdPublication {
  readonly vbd: VbdPath;
  /**
   * The value of `physical-device`, with a character for each byte (latin1), as blkback reads it.
   */
  readonly physicalDevice: string;
  readonly diskseq: string | undefined;
  readonly mode: string | undefined;
  /** The device that these values name to blkback; `undefined` where they name none. */
  readonly device: Omit<PublishedDevice, 'path'> | undefined;
}

/** The nodes that make up a publication. */
const PUBLICATION_NODES = ['mode', 'physical-device', 'diskseq'] as const;

/**
 * A node that blkback writes once for each instance, when it takes the vbd up, before it can hear of
 * a device (Linux 6.1 and 6.12, drivers/block/xen-blkback/xenbus.c, xen_blkbk_probe). Where it is
 * missing, blkback has not taken up the vbd of these nodes.
 */
export const PROBED_NODE = 'feature-max-indirect-segments';

/** The nodes by which what XenStore says of a vbd can change. */
export const INDEXED_NODES = [...PUBLICATION_NODES, PROBED_NODE] as const;

/** What XenStore says of some vbds. */
export interface VbdPublications {
  /** The vbds that blkback has taken up, also those that name no device. */
  readonly probed: readonly VbdPath[];
  readonly publications: readonly VbdPublication[];
}

/** The number of vbds above which a first trip finds out which of them name a device. */
const FEW = 8;

/**
 * Reads the publications of some vbds, in one trip where there are few vbds. Where many guests
 * start at once, most of their vbds have no device yet, and a second trip is for the others only.
 */
export async function readPublications(
  store: Xenstore,
  all: readonly VbdPath[],
  options?: RequestOptions,
): Promise<VbdPublications> {
  if (all.length <= FEW) return await readAll(store, all, options);
  const nodes = ['physical-device', PROBED_NODE];
  const values = await readNodes(store, all, nodes, options);
  const isPublished = (_: VbdPath, index: number): boolean => values[index]?.[0] !== undefined;
  const published = all.filter(isPublished);
  // The nodes of a vbd may be deleted between the trips. It then counts as what the second trip
  // says, because only that one reads its publication.
  const { probed, publications } = await readAll(store, published, options);
  const others = all.filter((vbd, index) => !isPublished(vbd, index) && values[index]?.[1]);
  return { probed: [...others, ...probed], publications };
}

async function readAll(
  store: Xenstore,
  vbds: readonly VbdPath[],
  options: RequestOptions | undefined,
): Promise<VbdPublications> {
  const values = await readNodes(store, vbds, INDEXED_NODES, options);
  const publications = vbds.flatMap((vbd, index): VbdPublication[] => {
    const [mode, device, diskseq] = values[index] ?? [];
    if (device === undefined) return [];
    const nodes = { physicalDevice: device.toString('latin1'), diskseq: diskseq?.toString() };
    return [{ vbd, ...nodes, mode: mode?.toString(), device: parsePublishedDevice(nodes) }];
  });
  const isProbed = (_: VbdPath, index: number): boolean => values[index]?.at(-1) !== undefined;
  return { probed: vbds.filter(isProbed), publications };
}

/** Reads some nodes of each vbd. */
async function readNodes(
  store: Xenstore,
  vbds: readonly VbdPath[],
  nodes: readonly string[],
  options: RequestOptions | undefined,
): Promise<(Buffer | undefined)[][]> {
  const paths = vbds.flatMap((vbd) => nodes.map((node) => backendNode(vbd, node)));
  const values = await store.readMany(paths, options);
  return vbds.map((_, index) => values.slice(index * nodes.length, (index + 1) * nodes.length));
}
