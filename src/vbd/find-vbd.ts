import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listDomainVbds } from './list-vbds.js';
import { OpenVbds } from './open-vbds.js';
import { listRemoteVbds } from './remote-vbds.js';
import { VbdError } from './vbd-error.js';
import { backendNode, parseVbdPath, type VbdPath } from './vbd-path.js';

/**
 * A disk of a guest as people name it: by its name, such as `xvda`, or as the guest's only disk.
 */
export interface GuestDisk {
  readonly domid: number;
  /** The name of the disk in the guest; `undefined` for the only disk that the guest has. */
  readonly vdev: string | undefined;
}

/**
 * Finds the vbd of a guest's disk. Searches the vbds that XenStore knows, and those that blkback
 * has open besides. Throws `EVBD`, with a list of the guest's disks, where not exactly one disk
 * fits.
 */
export async function findVbd(
  store: Xenstore,
  disk: GuestDisk,
  sysfs: string,
  options: RequestOptions,
): Promise<VbdPath> {
  const listed = (await listDomainVbds(store, String(disk.domid), options)).map(parseVbdPath);
  const open = new OpenVbds(sysfs).list().map(({ vbd }) => vbd);
  const vbds = new Map<string, VbdPath>();
  for (const vbd of [...listed, ...open]) if (vbd?.domid === disk.domid) vbds.set(vbd.backend, vbd);
  return await pickDisk(store, disk, [...vbds.values()], options);
}

/**
 * Finds the vbd of a guest's disk at another backend domain, where only XenStore can be asked. Throws
 * `EVBD` as `findVbd` does.
 */
export async function findRemoteVbd(
  store: Xenstore,
  disk: GuestDisk,
  backendDomid: number,
  options: RequestOptions,
): Promise<VbdPath> {
  const all = await listRemoteVbds(store, backendDomid, options);
  const ofGuest = all.filter(({ domid }) => domid === disk.domid);
  return await pickDisk(store, disk, ofGuest, options, `domain ${backendDomid}`);
}

async function pickDisk(
  store: Xenstore,
  { domid, vdev }: GuestDisk,
  all: readonly VbdPath[],
  options: RequestOptions,
  backendDomain = 'this domain',
): Promise<VbdPath> {
  const values = await store.readMany(
    all.map((vbd) => backendNode(vbd, 'dev')),
    options,
  );
  const disks = all.map((vbd, index) => ({ vbd, name: values[index]?.toString('utf8') }));
  const wanted = disks.filter(({ name }) => vdev === undefined || name === vdev);
  const [found] = wanted;
  if (found !== undefined && wanted.length === 1) return found.vbd;
  const list = disks
    .map(({ vbd, name }) => `${name ?? 'a disk without nodes'} (${domid}/${vbd.devid})`)
    .join(', ');
  if (disks.length === 0) throw vbdError(`guest ${domid} has no vbd of ${backendDomain}`);
  if (vdev === undefined)
    throw vbdError(`guest ${domid} has ${disks.length} vbds, name one: ${list}`);
  throw vbdError(`guest ${domid} has no vbd ${vdev} of ${backendDomain}: it has ${list}`);
}

function vbdError(message: string): VbdError {
  return new VbdError(message, { code: 'EVBD' });
}
