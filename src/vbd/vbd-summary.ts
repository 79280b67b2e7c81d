import { type Devnum, formatDevnum } from '../linux/devnum.js';
import { readPresentDiskseq, readStackedBlock } from '../topology/stacked-block.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listOtherDisks, listVbds } from './list-vbds.js';
import { OpenVbds } from './open-vbds.js';
import { requireOwnDomain } from './own-domain.js';
import { readPublishedLeniently } from './published-device.js';
import { readVbdBackend, type VbdBackend } from './vbd-backend.js';
import { VbdDirectory } from './vbd-directory.js';
import type { VbdPath } from './vbd-path.js';

/** What can be told of a vbd from XenStore and sysfs, whoever attached it. */
export interface VbdSummary {
  readonly vbd: VbdPath;
  /** XenStore knows it no more; the kernel still does. */
  readonly nodesGone: boolean;
  /** Name of the guest; `undefined` where it has none. */
  readonly domainName: string | undefined;
  /** Name of the disk in the guest, e.g. `xvda`. */
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
  /** The one that the device number has now; another one means that the device is another. */
  readonly presentDiskseq: bigint | undefined;
  readonly opened: Opened;
  /** `hotplug-error`, or what the kernel says. */
  readonly error: string | undefined;
}

/** Whether blkback has the device open, and how that is known. */
export interface Opened {
  readonly by: 'key' | 'sysfs' | undefined;
  /** `undefined` where nothing tells. */
  readonly open: boolean | undefined;
}

/**
 * All vbds of this domain's backends, by domain and device number: those that XenStore knows, and those
 * that the kernel has besides.
 */
export async function surveyVbds(
  store: Xenstore,
  sysfs: string,
  options: RequestOptions,
): Promise<VbdSummary[]> {
  const [listed, others] = await Promise.all([
    listVbds(store, options),
    listOtherDisks(store, options),
  ]);
  const open = await new OpenVbds(sysfs).list();
  const vbds = new Map(listed.map((vbd) => [vbd.backend, vbd]));
  for (const { vbd } of open) vbds.set(vbd.backend, vbd);
  const sorted = [...vbds.values()].sort((a, b) => a.domid - b.domid || a.devid - b.devid);
  const summaries = [...sorted, ...others].map((vbd) => surveyVbd(store, vbd, sysfs, options));
  return (await Promise.all(summaries)).filter((summary) => summary !== undefined);
}

/** One vbd; `undefined` where neither XenStore nor the kernel has it. */
export async function surveyVbd(
  store: Xenstore,
  vbd: VbdPath,
  sysfs: string,
  options: RequestOptions,
): Promise<VbdSummary | undefined> {
  await requireOwnDomain(store, vbd, options);
  const [backend, [name]] = await Promise.all([
    readVbdBackend(store, vbd, options),
    store.readMany([`/local/domain/${vbd.domid}/name`], options),
  ]);
  await using directory = await VbdDirectory.pin(sysfs, vbd.sysfsName);
  const openDevnum = directory?.readOpenDevice();
  if (!backend.exists && openDevnum === undefined) return undefined;
  const published = readPublishedLeniently(vbd, backend);
  const devnum = published?.devnum ?? openDevnum;
  return {
    vbd,
    nodesGone: !backend.exists,
    domainName: name?.toString('utf8'),
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
    opened: tellOpened(backend, directory),
    error:
      describeProblem(vbd, backend, openDevnum) ??
      backend.text('hotplug-error') ??
      backend.kernelError,
  };
}

/** The kernel decides; the key of a blkback that keeps one only says the same a little earlier. */
function tellOpened(backend: VbdBackend, directory: VbdDirectory | undefined): Opened {
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
