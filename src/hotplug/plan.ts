import type { ExportRequest } from '../block/open-export.js';
import type { VbdBackend } from '../xenstore/vbd-backend.js';
import type { VbdPath } from '../xenstore/vbd-path.js';
import { HotplugError, quote } from './hotplug-error.js';
import { parseTarget, type Target } from './target.js';

/** How XenStore and blkback agree on the device: the nodes of docs/xenstore.md. */
export type Uapi = 'key' | 'inline';

/** What an attach is going to do, decided before anything is opened. */
export interface AttachPlan {
  readonly target: Target;
  readonly request: ExportRequest;
}

/** Keys that only shape a new loop device. */
const FILE_KEYS = ['offset', 'size', 'block-size', 'direct-io', 'autoclear'];

/** Keys whose work is still to be written: to take them and do nothing would be a lie. */
const UNSUPPORTED_KEYS = [
  'dm-name',
  'dm-uuid',
  'deferred-remove',
  'layer',
  'verity-root',
  'sharing',
];

/**
 * Plans the attach of a vbd from its backend directory. Pure. Throws `HotplugError`: `EBACKEND`,
 * `ETARGET`, `EMODE`, `EUNSUPPORTED`.
 */
export function planAttach(vbd: VbdPath, backend: VbdBackend): AttachPlan {
  requireBackend(vbd, backend);
  const params = backend.bytes('params');
  if (params === undefined) throw incomplete(vbd, 'params', 'it names the device to export');
  const writable = parseMode(vbd, backend.text('mode'));
  if (backend.text('dev') === undefined) {
    // xenbus.c, connect(): blkback names its threads after it, and without it serves nothing.
    throw incomplete(vbd, 'dev', 'without it blkback connects but never serves a request');
  }
  const target = parseTarget(params);
  return { target, request: toExportRequest(target, writable) };
}

/** Throws `EBACKEND` unless there is a backend directory. */
export function requireBackend(vbd: VbdPath, backend: VbdBackend): void {
  if (backend.exists) return;
  throw new HotplugError(
    `there is no backend ${vbd.backend} in XenStore (it has no frontend node): has the toolstack removed it?`,
    { code: 'EBACKEND' },
  );
}

function incomplete(vbd: VbdPath, node: string, why: string): HotplugError {
  return new HotplugError(`${vbd.backend} has no ${node} node: ${why}`, { code: 'EBACKEND' });
}

/** Reads `mode`; xen-blkback allows writing when there is a `w` in it. */
function parseMode(vbd: VbdPath, mode: string | undefined): boolean {
  if (mode === undefined) throw incomplete(vbd, 'mode', 'blkback needs it, r or w');
  if (/^(r|w|ro|rw)!?$/.test(mode)) return mode.includes('w');
  throw new HotplugError(`${vbd.backend}/mode is ${quote(mode)}: one of r, w, r!, w! is needed`, {
    code: 'EMODE',
  });
}

function toExportRequest(target: Target, writable: boolean): ExportRequest {
  const unsupported = target.keys.filter((key) => UNSUPPORTED_KEYS.includes(key));
  if (unsupported.length > 0) {
    throw new HotplugError(`this version does not do ${unsupported.join(', ')} yet`, {
      code: 'EUNSUPPORTED',
    });
  }
  const { locator, offset, size, blockSize, directIo } = target;
  if (locator.by === 'dm-name' || locator.by === 'dm-uuid') {
    throw new HotplugError(`this version does not do ${locator.by} yet`, { code: 'EUNSUPPORTED' });
  }
  return {
    locator: locator.by === 'path' ? { path: locator.path } : locator,
    diskseq: target.diskseq,
    writable,
    file: { offset, size, blockSize, directIo },
    fileOnly: target.keys.filter((key) => FILE_KEYS.includes(key)),
  };
}
