import { basename, join } from 'node:path';
import { listLayers } from '../block/mapper/release-layer.js';
import { isPresent, readPresentDiskseq } from '../topology/stacked-block.js';
import { listVbds } from '../vbd/list-vbds.js';
import { type OpenVbd, OpenVbds } from '../vbd/open-vbds.js';
import { listOrphanedFrontends } from '../vbd/orphaned-frontends.js';
import { tryReadPublishedDevice } from '../vbd/published-device.js';
import { listRecords, readRecordLeniently, type VbdRecord } from '../vbd/record.js';
import { listUnfinished } from '../vbd/unfinished-records.js';
import { readVbdBackend } from '../vbd/vbd-backend.js';
import { backendNode, parseVbdPath, type VbdPath } from '../vbd/vbd-path.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { isXenstoreError } from '../xenstore/xenstore-error.js';
import type { HostState, HostVbd } from './host-state.js';
import { findOverlaps } from './overlaps.js';
import { findIdleLoops } from './unexplained-loops.js';

/** The directories that an audit reads. */
export interface AuditPlace {
  /** The root of sysfs, below which the xen-backend bus is found. */
  readonly sysfs: string;
  readonly runDirectory: string;
  /** The names by which toolstacks call our hotplug script. */
  readonly scripts: readonly string[];
}

/** Reads XenStore, the kernel and the run directory. Changes nothing. Throws the errors of all. */
export async function collectHostState(
  store: Xenstore,
  { sysfs, runDirectory, scripts }: AuditPlace,
  options: RequestOptions,
): Promise<HostState> {
  const records = listRecords(runDirectory);
  const errors = await listErrors(store, options);
  const layers = await readLayers(options.signal);
  const orphans = await listOrphanedFrontends(store, options);
  const listed = await listVbds(store, options);
  // The kernel is asked last. So the nodes of an open vbd that XenStore does not list are gone.
  const open = new OpenVbds(sysfs).list();
  const isKnown = (script: string): boolean => script === 'block' || scripts.includes(script);
  const vbds = await readVbds(store, listed, open, isKnown, options);
  const recordOf = (vbd: VbdPath): VbdRecord | undefined => readRecordLeniently(runDirectory, vbd);
  const isReadable = (vbd: VbdPath): boolean => recordOf(vbd) !== undefined;
  const recordPath = ({ sysfsName }: VbdPath): string => join(runDirectory, `${sysfsName}.json`);
  return {
    vbds,
    loops: await findIdleLoops(
      vbds,
      records.map(recordOf).filter((record) => record !== undefined),
      options.signal,
    ),
    overlaps: await findOverlaps(store, open, options),
    layers,
    errors,
    orphans,
    records: records.filter(isReadable).map((vbd) => ({ vbd, path: recordPath(vbd) })),
    strayFiles: [
      ...records.filter((vbd) => !isReadable(vbd)).map(recordPath),
      ...listLeftFiles(runDirectory, vbds),
    ],
  };
}

async function readVbds(
  store: Xenstore,
  listed: readonly VbdPath[],
  open: readonly OpenVbd[],
  isKnownScript: (name: string) => boolean,
  options: RequestOptions,
): Promise<HostVbd[]> {
  const all = new Map(listed.map((vbd) => [vbd.backend, vbd]));
  for (const { vbd } of open) all.set(vbd.backend, vbd);
  const devices = new Map(open.map(({ vbd, devnum }) => [vbd.backend, devnum]));
  const read = (vbd: VbdPath) => readVbd(store, vbd, devices, isKnownScript, options);
  return await Promise.all([...all.values()].map(read));
}

async function readVbd(
  store: Xenstore,
  vbd: VbdPath,
  open: ReadonlyMap<string, OpenVbd['devnum']>,
  isKnownScript: (name: string) => boolean,
  options: RequestOptions,
): Promise<HostVbd> {
  const backend = await readVbdBackend(store, vbd, options);
  const frontend = backend.text('frontend');
  const frontendGone = frontend !== undefined && !(await exists(store, frontend, options));
  const script = basename(backend.text('script') ?? '') || undefined;
  const published = tryReadPublishedDevice(vbd, backend);
  const [node] = await store.readMany([backendNode(vbd, 'node')], options);
  return {
    vbd,
    nodesGone: !backend.exists,
    online: backend.text('online') === '1',
    state: backend.text('state'),
    script,
    isScriptUnknown: script !== undefined && !isKnownScript(script),
    frontend,
    frontendGone,
    guestGone: frontendGone && (await isGuestGone(store, vbd.domid, options)),
    hotplugStatus: backend.text('hotplug-status'),
    hotplugError: backend.text('hotplug-error'),
    node: node?.toString('utf8'),
    published: published && {
      devnum: published.devnum,
      diskseq: published.diskseq,
      presentDiskseq: readPresentDiskseq(published.devnum),
      isPresent: isPresent(published.devnum),
    },
    open: open.get(vbd.backend),
  };
}

async function isGuestGone(
  store: Xenstore,
  domid: number,
  options: RequestOptions,
): Promise<boolean> {
  return domid === 0 || !(await exists(store, `/local/domain/${domid}`, options));
}

/** Tells whether a node exists. A node that may not be read (EACCES) exists. */
async function exists(store: Xenstore, path: string, options: RequestOptions): Promise<boolean> {
  try {
    await store.read(path, options);
    return true;
  } catch (error) {
    if (isXenstoreError(error, 'ENOENT')) return false;
    if (isXenstoreError(error, 'EACCES')) return true;
    throw error;
  }
}

const ERROR_ROOT = 'error/backend/vbd';

/** Lists the vbds for which the kernel has reported an error, even if they no longer exist. */
async function listErrors(store: Xenstore, options: RequestOptions): Promise<HostState['errors']> {
  const list = (path: string): Promise<string[]> =>
    store.directory(path, options).catch((error: unknown) => {
      if (isXenstoreError(error, 'ENOENT')) return [];
      throw error;
    });
  const lists = (await list(ERROR_ROOT)).map(async (domid) =>
    (await list(`${ERROR_ROOT}/${domid}`)).map((devid) => `backend/vbd/${domid}/${devid}`),
  );
  const vbds = (await Promise.all(lists))
    .flat()
    .map(parseVbdPath)
    .filter((vbd) => vbd !== undefined);
  const texts = await store.readMany(
    vbds.map(({ error }) => error),
    options,
  );
  return vbds.flatMap((vbd, index) => {
    const text = texts[index]?.toString('utf8');
    return text === undefined ? [] : [{ vbd, text }];
  });
}

async function readLayers(signal: AbortSignal | undefined): Promise<HostState['layers']> {
  return (await listLayers(undefined, signal)).flatMap((layer) => {
    const [, domid, devid] = /^XENVBD-(\d+)-(\d+)-/.exec(layer.uuid) ?? [];
    const vbd = domid === undefined ? undefined : parseVbdPath(`backend/vbd/${domid}/${devid}`);
    return vbd === undefined ? [] : [{ vbd, layer }];
  });
}

/** Lists the incomplete records (`.json.new`) of vbds that are gone. */
function listLeftFiles(runDirectory: string, vbds: readonly HostVbd[]): string[] {
  const known = new Set(vbds.map(({ vbd }) => vbd.sysfsName));
  return listUnfinished(runDirectory)
    .filter(({ sysfsName }) => !known.has(sysfsName))
    .map(({ path }) => path);
}
