import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';
import { listNumbers } from './list-vbds.js';

/** A guest's half of a disk whose backend domain does not exist any more. */
export interface OrphanedFrontend {
  /** The number of the guest. */
  readonly domid: number;
  readonly devid: number;
  /** The number that the backend domain had. */
  readonly backendDomid: number;
}

const DOMAINS = '/local/domain';

/**
 * Lists the disks of all guests whose backend domain is gone, such as a driver domain that has
 * crashed. Believes what libxl has noted for itself (libxl_device.c, libxl__device_generic_add),
 * because a guest may write into its own frontend. Lists none of other toolstacks, and none where
 * XenStore refuses to list the domains, which only dom0 may do.
 */
export async function listOrphanedFrontends(
  store: Xenstore,
  options: RequestOptions,
): Promise<OrphanedFrontend[]> {
  try {
    const domids = await listNumbers(store, DOMAINS, options);
    const lists = domids.map((domid) => listOrphans(store, domid, new Set(domids), options));
    return (await Promise.all(lists)).flat();
  } catch (error) {
    if (isXenstoreError(error, 'EACCES')) return [];
    throw error;
  }
}

async function listOrphans(
  store: Xenstore,
  domid: string,
  present: ReadonlySet<string>,
  options: RequestOptions,
): Promise<OrphanedFrontend[]> {
  const root = `/libxl/${domid}/device/vbd`;
  const devids = await listNumbers(store, root, options);
  const backends = await store.readMany(
    devids.map((devid) => `${root}/${devid}/backend`),
    options,
  );
  return devids.flatMap((devid, index) => {
    const path = backends[index]?.toString('latin1') ?? '';
    const [, backend] = /^\/local\/domain\/(\d+)\/backend\/vbd\//.exec(path) ?? [];
    if (backend === undefined || present.has(backend)) return [];
    return [{ domid: Number(domid), devid: Number(devid), backendDomid: Number(backend) }];
  });
}
