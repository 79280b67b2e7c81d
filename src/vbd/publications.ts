import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { type PublishedDevice, parsePublished } from './published-device.js';
import { backendNode, type VbdPath } from './vbd-path.js';

/** A vbd that names a device to blkback, whoever wrote it; values as they stand in XenStore. */
export interface VbdPublication {
  readonly vbd: VbdPath;
  /** A character for each byte (latin1), as blkback reads it. */
  readonly physicalDevice: string;
  readonly diskseq: string | undefined;
  readonly mode: string | undefined;
  /** The device that this names to blkback; `undefined` for a value that names none. */
  readonly device: Omit<PublishedDevice, 'path'> | undefined;
}

/** The nodes that make up a publication. */
export const PUBLICATION_NODES = ['mode', 'physical-device', 'diskseq'] as const;

/** Of more vbds than this it is asked first which of them name a device. */
const FEW = 8;

/**
 * Reads the publications of some vbds, in one trip where they are few; those that name no device are
 * left out.
 */
export async function readPublications(
  store: Xenstore,
  all: readonly VbdPath[],
  options?: RequestOptions,
): Promise<VbdPublication[]> {
  const vbds = all.length > FEW ? await listPublished(store, all, options) : all;
  const paths = vbds.flatMap((vbd) => PUBLICATION_NODES.map((node) => backendNode(vbd, node)));
  const values = await store.readMany(paths, options);
  return vbds.flatMap((vbd, index) => {
    const at = index * PUBLICATION_NODES.length;
    const [mode, device, diskseq] = values.slice(at, at + PUBLICATION_NODES.length);
    if (device === undefined) return [];
    const nodes = { physicalDevice: device.toString('latin1'), diskseq: diskseq?.toString() };
    return [{ vbd, ...nodes, mode: mode?.toString(), device: parsePublished(nodes) }];
  });
}

/** Where many guests start at once most of them have no device yet: that spares two thirds of the reads. */
async function listPublished(
  store: Xenstore,
  vbds: readonly VbdPath[],
  options?: RequestOptions,
): Promise<VbdPath[]> {
  const paths = vbds.map((vbd) => backendNode(vbd, 'physical-device'));
  const devices = await store.readMany(paths, options);
  return vbds.filter((_, index) => devices[index] !== undefined);
}
