import type { Devnum } from '../linux/devnum.js';
import { readPresentDiskseq } from '../topology/stacked-block.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listVbds } from './list-vbds.js';
import { readPublishedLeniently } from './published-device.js';
import { XenBackendDevice } from './sysfs-directory.js';
import { readVbdBackend, type VbdBackend } from './vbd-backend.js';
import type { VbdPath } from './vbd-path.js';

/** What can be told of a vbd from XenStore and sysfs, whoever attached it. */
export interface VbdSummary {
  readonly vbd: VbdPath;
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

/** All vbds of this domain's backends, by domain and device number. */
export async function surveyVbds(
  store: Xenstore,
  sysfs: string,
  options: RequestOptions,
): Promise<VbdSummary[]> {
  const vbds = await listVbds(store, options);
  const summaries = vbds.map((vbd) => surveyVbd(store, vbd, sysfs, options));
  return (await Promise.all(summaries)).filter((summary) => summary !== undefined);
}

/** One vbd; `undefined` where there is no such backend. */
export async function surveyVbd(
  store: Xenstore,
  vbd: VbdPath,
  sysfs: string,
  options: RequestOptions,
): Promise<VbdSummary | undefined> {
  const [backend, [name]] = await Promise.all([
    readVbdBackend(store, vbd, options),
    store.readMany([`/local/domain/${vbd.domid}/name`], options),
  ]);
  if (!backend.exists) return undefined;
  const published = readPublishedLeniently(vbd, backend);
  return {
    vbd,
    domainName: name?.toString('utf8'),
    vdev: backend.text('dev'),
    mode: backend.text('mode'),
    target: backend.text('params'),
    state: backend.text('state'),
    online: backend.text('online') === '1',
    device: backend.text('physical-device-path'),
    devnum: published?.devnum,
    diskseq: published?.diskseq,
    presentDiskseq: published && readPresentDiskseq(published.devnum),
    opened: await readOpened(vbd, backend, sysfs),
    error: backend.text('hotplug-error') ?? backend.kernelError,
  };
}

async function readOpened(vbd: VbdPath, backend: VbdBackend, sysfs: string): Promise<Opened> {
  const key = backend.text('opened');
  if (key !== undefined) return { by: 'key', open: key === '1' };
  await using kernel = await XenBackendDevice.pin(sysfs, vbd.sysfsName);
  if (kernel === undefined) return { by: undefined, open: undefined };
  return { by: 'sysfs', open: (await kernel.readPhysicalDevice()) !== undefined };
}
