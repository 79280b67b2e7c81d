import { type Devnum, formatDevnum } from '../linux/devnum.js';
import { readPresentDiskseq, readStackedBlock } from '../topology/stacked-block.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listOtherDisks, listVbds } from './list-vbds.js';
import { OpenVbds } from './open-vbds.js';
import { requireOwnDomain } from './own-domain.js';
import { tryReadPublishedDevice } from './published-device.js';
import { readVbdBackend, type VbdBackend } from './vbd-backend.js';
import { VbdDirectory } from './vbd-directory.js';
import type { VbdPath } from './vbd-path.js';

/** The facts about a vbd that XenStore and sysfs tell, whichever program attached the vbd. */
export interface VbdSummary {
  readonly vbd: VbdPath;
  /** Whether the vbd belongs to another backend domain, so that its device is not one of this domain. */
  readonly isRemote: boolean;
  /** Whether XenStore has no nodes of the vbd any more, while the kernel still has the vbd. */
  readonly nodesGone: boolean;
  /** The name of the guest; `undefined` where it has none. */
  readonly domainName: string | undefined;
  /** The name of the disk in the guest, e.g. `xvda`. */
  readonly vdev: string | undefined;
  readonly mode: string | undefined;
  readonly target: string | undefined;
  readonly state: string | undefined;
  readonly online: boolean;
  readonly device: string | undefined;
  readonly devnum: Devnum | undefined;
  /** The number of the device that blkback has open, as the kernel says. */
  readonly openDevnum: Devnum | undefined;
  /** The sequence number that was published. */
  readonly diskseq: bigint | undefined;
  /**
   * The sequence number of the device that has the device number now. If it differs from the
   * published one, that device is another one.
   */
  readonly presentDiskseq: bigint | undefined;
  readonly opened: Opened;
  readonly hotplugStatus: string | undefined;
  /**
   * A device that is open although the nodes are gone, else `hotplug-error`, else the kernel's
   * error.
   */
  readonly error: string | undefined;
}

/** Whether blkback has the device open, and how that is known. */
export interface Opened {
  readonly by: 'key' | 'sysfs' | undefined;
  /** `undefined` where neither XenStore nor the kernel tells. */
  readonly open: boolean | undefined;
}

/**
 * Returns the summaries of all vbds of this domain's backends, ordered by domain and device number:
 * the vbds that XenStore knows, and those that only the kernel has. The disks that other programs
 * serve follow.
 */
export async function summarizeVbds(
  store: Xenstore,
  sysfs: string,
  options: RequestOptions,
): Promise<VbdSummary[]> {
  const [listed, others] = await Promise.all([
    listVbds(store, options),
    listOtherDisks(store, options),
  ]);
  const open = new OpenVbds(sysfs).list();
  const vbds = new Map(listed.map((vbd) => [vbd.backend, vbd]));
  for (const { vbd } of open) vbds.set(vbd.backend, vbd);
  const sorted = [...vbds.values()].sort((a, b) => a.domid - b.domid || a.devid - b.devid);
  const all = [...sorted, ...others];
  const names = readDomainNames(store, new Set(all.map(({ domid }) => domid)), options);
  const summaries = all.map(async (vbd) => {
    const backend = await readVbdBackend(store, vbd, { nodes: SUMMARY_NODES, ...options });
    return summarize(vbd, { backend, domainName: (await names).get(vbd.domid), sysfs });
  });
  return (await Promise.all(summaries)).filter((summary) => summary !== undefined);
}

/** The nodes that a summary needs, and no others, because hundreds of vbds are read at once. */
export const SUMMARY_NODES = [
  'frontend',
  'dev',
  'mode',
  'params',
  'state',
  'online',
  'physical-device',
  'physical-device-path',
  'diskseq',
  'opened',
  'hotplug-status',
  'hotplug-error',
  'error',
] as const;

/** Reads the names of domains. The name is `undefined` for a domain that has none. */
export async function readDomainNames(
  store: Xenstore,
  domids: ReadonlySet<number>,
  options: RequestOptions,
): Promise<Map<number, string | undefined>> {
  const paths = [...domids].map((domid) => `/local/domain/${domid}/name`);
  const values = await store.readMany(paths, options);
  return new Map([...domids].map((domid, index) => [domid, values[index]?.toString('utf8')]));
}

/**
 * Returns the summary of one vbd; `undefined` where neither XenStore nor the kernel has the vbd.
 * Throws `EVBD` for a backend of another domain.
 */
export async function summarizeVbd(
  store: Xenstore,
  vbd: VbdPath,
  sysfs: string,
  options: RequestOptions,
): Promise<VbdSummary | undefined> {
  await requireOwnDomain(store, vbd, options);
  const [backend, names] = await Promise.all([
    readVbdBackend(store, vbd, { nodes: SUMMARY_NODES, ...options }),
    readDomainNames(store, new Set([vbd.domid]), options),
  ]);
  return await summarize(vbd, { backend, domainName: names.get(vbd.domid), sysfs });
}

/** Makes the summary of a vbd from its nodes. Reads the facts that the kernel tells at once. */
async function summarize(
  vbd: VbdPath,
  found: {
    readonly backend: VbdBackend;
    readonly domainName: string | undefined;
    readonly sysfs: string;
  },
): Promise<VbdSummary | undefined> {
  const { backend, domainName, sysfs } = found;
  await using directory = await VbdDirectory.pin(sysfs, vbd.sysfsName);
  const openDevnum = directory?.readOpenDevice();
  if (!backend.exists && openDevnum === undefined) return undefined;
  const published = tryReadPublishedDevice(vbd, backend);
  const devnum = published?.devnum ?? openDevnum;
  return {
    vbd,
    isRemote: false,
    nodesGone: !backend.exists,
    domainName,
    vdev: backend.text('dev'),
    mode: backend.text('mode'),
    target: backend.text('params'),
    state: backend.text('state'),
    online: backend.text('online') === '1',
    device: backend.text('physical-device-path') ?? (devnum && readStackedBlock(devnum)?.path),
    devnum,
    openDevnum,
    diskseq: published?.diskseq,
    presentDiskseq: devnum && readPresentDiskseq(devnum),
    opened: readOpened(backend, directory),
    hotplugStatus: backend.text('hotplug-status'),
    error:
      describeProblem(vbd, backend, openDevnum) ??
      backend.text('hotplug-error') ??
      backend.kernelError,
  };
}

/**
 * Returns whether blkback has the device open. Where sysfs has a directory of the vbd, only sysfs
 * decides: blkback writes 1 into its `opened` node after the attribute in sysfs exists, and a 1 may
 * be the answer to an earlier publication. The node then adds only the way in which it is known.
 * Where sysfs has no directory, the node counts alone.
 */
function readOpened(backend: VbdBackend, directory: VbdDirectory | undefined): Opened {
  if (directory === undefined) {
    const key = backend.text('opened');
    return key === undefined
      ? { by: undefined, open: undefined }
      : { by: 'key', open: key === '1' };
  }
  const open = directory.readOpenDevice() !== undefined;
  return { by: open && backend.text('opened') === '1' ? 'key' : 'sysfs', open };
}

function describeProblem(
  vbd: VbdPath,
  backend: VbdBackend,
  open: Devnum | undefined,
): string | undefined {
  if (backend.exists || open === undefined) return undefined;
  return `blkback still has device ${formatDevnum(open)} open, although ${vbd.backend} is gone from XenStore`;
}
