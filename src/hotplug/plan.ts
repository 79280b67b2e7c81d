import type { ExportRequest } from '../block/open-export.js';
import type { Sharing } from '../sharing/sharing-rules.js';
import { type Locator, parseTarget, type Target } from '../target/target.js';
import { quote } from '../util/one-line.js';
import { requireBackend, type VbdBackend } from '../vbd/vbd-backend.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { HotplugError } from './hotplug-error.js';

/** The plan of an attach, which is made before anything is opened. */
export interface AttachPlan {
  readonly target: Target;
  readonly request: ExportRequest;
  /** The uses that the attach tolerates; `undefined` where neither target nor mode say it. */
  readonly sharing: Sharing | undefined;
}

/** Keys that only shape a new loop device. */
const FILE_KEYS = ['offset', 'size', 'block-size', 'direct-io', 'autoclear'];

/** Keys that only mean something for a mapper device. */
const MAPPER_KEYS = ['deferred-remove', 'verity-root'];

/**
 * Plans the attach of a vbd from its backend directory. Pure. Throws `EBACKEND`, `ETARGET` or
 * `EMODE`.
 */
export function planAttach(vbd: VbdPath, backend: VbdBackend): AttachPlan {
  requireBackend(vbd, backend);
  const params = backend.bytes('params');
  if (params === undefined) throw incomplete(vbd, 'params', 'it names the device to export');
  const { writable, unchecked } = parseMode(vbd, backend.text('mode'));
  if (backend.text('dev') === undefined) {
    // blkback names its threads after `dev`, and serves nothing without it (xenbus.c, connect()).
    throw incomplete(vbd, 'dev', 'without it blkback connects but never serves a request');
  }
  const target = parseTarget(params);
  const sharing = unchecked ? 'allow' : target.sharing;
  const isDrive = backend.text('device-type') === 'cdrom';
  const request = toExportRequest(target, writable && !isDrive, layerOwner(vbd));
  return { target, request: isDrive ? { ...request, drive: { writable } } : request, sharing };
}

function incomplete(vbd: VbdPath, node: string, why: string): HotplugError {
  return new HotplugError(`${vbd.backend} has no ${node} node: ${why}`, { code: 'EBACKEND' });
}

/**
 * Reads `mode`. xen-blkback allows writing when `mode` contains a `w`. A `!` is the old way to say
 * that sharing is not to be checked. Throws `EBACKEND` or `EMODE`.
 */
function parseMode(
  vbd: VbdPath,
  mode: string | undefined,
): { readonly writable: boolean; readonly unchecked: boolean } {
  if (mode === undefined) throw incomplete(vbd, 'mode', 'blkback needs it, r or w');
  if (/^(r|w|ro|rw)!?$/.test(mode)) {
    return { writable: mode.includes('w'), unchecked: mode.includes('!') };
  }
  throw new HotplugError(`${vbd.backend}/mode is ${quote(mode)}: one of r, w, r!, w! is needed`, {
    code: 'EMODE',
  });
}

/**
 * Returns what is to be opened for a target. Its layers are named after `owner`. Throws `EMODE`.
 */
export function toExportRequest(target: Target, writable: boolean, owner: string): ExportRequest {
  const { offset, size, blockSize, directIo, layer } = target;
  if (layer === 'crypt' && !writable) {
    throw new HotplugError(
      'layer=crypt needs mode w: with a new key for each attach there is nothing to read',
      { code: 'EMODE' },
    );
  }
  return {
    locator: toDeviceLocator(target.locator),
    diskseq: target.diskseq,
    writable,
    file: { offset, size, blockSize, directIo },
    fileOnly: target.keys.filter((key) => FILE_KEYS.includes(key)),
    mapperOnly: target.keys.filter((key) => MAPPER_KEYS.includes(key)),
    mayBeGoing: target.deferredRemove,
    verityRoot: target.verityRoot,
    layer: layer && { kind: layer, owner },
  };
}

function toDeviceLocator(locator: Locator): ExportRequest['locator'] {
  if (locator.by === 'path') {
    const { path, symlinks } = locator;
    return symlinks === undefined ? { path } : { path, symlinks };
  }
  if (locator.by === 'dm-name') return { dmName: locator.name };
  if (locator.by === 'dm-uuid') return { dmUuid: locator.uuid };
  return locator;
}

/** Returns the owner in the names of a vbd's layers: its domain and its device number. */
export function layerOwner({ domid, devid }: VbdPath): string {
  return `${domid}-${devid}`;
}
