// The vbds of other backend domains, as XenStore shows them from here. libxl reports success before
// the script of a driver domain has run, and does not look again.

import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listNumbers, VBD_ROOT } from './list-vbds.js';
import { readOwnDomid } from './own-domain.js';
import { tryReadPublishedDevice } from './published-device.js';
import { readDomainNames, SUMMARY_NODES, type VbdSummary } from './summarize-vbd.js';
import { readVbdBackend } from './vbd-backend.js';
import { inBackendDomain, type VbdPath, vbdPath } from './vbd-path.js';

/** Lists the other domains that have vbd backends, in the order of their numbers. */
export async function listBackendDomains(
  store: Xenstore,
  options?: RequestOptions,
): Promise<number[]> {
  const [own, domids] = await Promise.all([
    readOwnDomid(store, options),
    listNumbers(store, '/local/domain', options),
  ]);
  const others = domids.map(Number).filter((domid) => domid !== own);
  const vbds = await Promise.all(
    others.map((domid) => listNumbers(store, `/local/domain/${domid}/${VBD_ROOT}`, options)),
  );
  return others.filter((_, index) => vbds[index]?.length !== 0);
}

/** Lists the vbds of one other backend domain, in the order of guest and device numbers. */
export async function listRemoteVbds(
  store: Xenstore,
  backendDomid: number,
  options?: RequestOptions,
): Promise<VbdPath[]> {
  const root = `/local/domain/${backendDomid}/${VBD_ROOT}`;
  const domids = await listNumbers(store, root, options);
  const groups = domids.map(async (domid) => {
    const devids = await listNumbers(store, `${root}/${domid}`, options);
    return devids.map((devid) =>
      inBackendDomain(vbdPath(Number(domid), Number(devid)), backendDomid),
    );
  });
  return (await Promise.all(groups)).flat();
}

/** Summarizes all vbds of one other backend domain from XenStore. */
export async function summarizeRemoteVbds(
  store: Xenstore,
  backendDomid: number,
  options: RequestOptions,
): Promise<VbdSummary[]> {
  const vbds = await listRemoteVbds(store, backendDomid, options);
  const summaries = await Promise.all(vbds.map((vbd) => summarizeRemoteVbd(store, vbd, options)));
  return summaries.filter((summary) => summary !== undefined);
}

/** Summarizes a vbd of another backend domain from XenStore; `undefined` if it does not exist. */
export async function summarizeRemoteVbd(
  store: Xenstore,
  vbd: VbdPath,
  options: RequestOptions,
): Promise<VbdSummary | undefined> {
  const [backend, names] = await Promise.all([
    readVbdBackend(store, vbd, { nodes: SUMMARY_NODES, ...options }),
    readDomainNames(store, new Set([vbd.domid]), options),
  ]);
  if (!backend.exists) return undefined;
  const published = tryReadPublishedDevice(vbd, backend);
  const key = backend.text('opened');
  return {
    vbd,
    isRemote: true,
    nodesGone: false,
    domainName: names.get(vbd.domid),
    vdev: backend.text('dev'),
    mode: backend.text('mode'),
    target: backend.text('params'),
    state: backend.text('state'),
    online: backend.text('online') === '1',
    device: backend.text('physical-device-path'),
    devnum: published?.devnum,
    openDevnum: undefined,
    diskseq: published?.diskseq,
    presentDiskseq: undefined,
    opened:
      key === undefined ? { by: undefined, open: undefined } : { by: 'key', open: key === '1' },
    hotplugStatus: backend.text('hotplug-status'),
    error: backend.text('hotplug-error') ?? backend.kernelError,
  };
}
