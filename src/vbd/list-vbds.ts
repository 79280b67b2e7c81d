import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';
import { OTHER_KINDS, parseOtherPath, parseVbdPath, type VbdPath } from './vbd-path.js';

/** The path below which this domain's vbd backends lie. */
export const VBD_ROOT = 'backend/vbd';

/**
 * Lists the vbds of this domain's backends, ordered by domain and device number.
 *
 * @param onFailed takes the error of a guest whose vbds cannot be listed, or throws it as is usual.
 */
export async function listVbds(
  store: Xenstore,
  options?: RequestOptions,
  onFailed = (_path: string, error: unknown): void => {
    throw error;
  },
): Promise<VbdPath[]> {
  const domids = await listNumbers(store, VBD_ROOT, options);
  const groups = domids.map(async (domid) => {
    try {
      return await listDomainVbds(store, domid, options);
    } catch (error) {
      onFailed(`${VBD_ROOT}/${domid}`, error);
      return [];
    }
  });
  return (await Promise.all(groups))
    .flat()
    .map(parseVbdPath)
    .filter((vbd) => vbd !== undefined);
}

/**
 * Lists the disks of this domain's backends that other programs than blkback serve, ordered by
 * kind, domain and device number.
 */
export async function listOtherDisks(
  store: Xenstore,
  options?: RequestOptions,
): Promise<VbdPath[]> {
  const groups = OTHER_KINDS.map(async (kind) => {
    const root = `backend/${kind}`;
    const domids = await listNumbers(store, root, options);
    const lists = domids.map(async (domid) => {
      const devids = await listNumbers(store, `${root}/${domid}`, options);
      return devids.map((devid) => `${root}/${domid}/${devid}`);
    });
    return (await Promise.all(lists)).flat();
  });
  const paths = (await Promise.all(groups)).flat();
  return paths.map(parseOtherPath).filter((vbd) => vbd !== undefined);
}

/** Lists the paths of the vbd backends of one guest, ordered by device number. */
export async function listDomainVbds(
  store: Xenstore,
  domid: string,
  options?: RequestOptions,
): Promise<string[]> {
  const devids = await listNumbers(store, `${VBD_ROOT}/${domid}`, options);
  return devids.map((devid) => `${VBD_ROOT}/${domid}/${devid}`);
}

/**
 * Lists the children of a node in the order of their numbers; none where the node does not exist.
 */
export async function listNumbers(
  store: Xenstore,
  path: string,
  options?: RequestOptions,
): Promise<string[]> {
  try {
    return (await store.directory(path, options)).sort((a, b) => Number(a) - Number(b));
  } catch (error) {
    if (isXenstoreError(error, 'ENOENT')) return [];
    throw error;
  }
}
