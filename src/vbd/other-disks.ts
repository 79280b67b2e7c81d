import type { Devnum } from '../linux/devnum.js';
import type { RequestOptions, Xenstore } from '../xenstore/xenstore.js';
import { listOtherDisks } from './list-vbds.js';
import { scanDevnum } from './scan-devnum.js';
import { backendNode, type VbdPath } from './vbd-path.js';

/** A guest's disk that QEMU or tapdisk serves, as its toolstack describes it. */
export interface OtherDisk {
  readonly vbd: VbdPath;
  /** The device that the backend directory names, if it names one. */
  readonly devnum: Devnum | undefined;
  /** The absolute path of the file or device that `params` names. */
  readonly path: string | undefined;
  readonly writable: boolean;
}

const NODES = ['params', 'mode', 'physical-device', 'frontend'] as const;

/**
 * Reads the disks of this domain's backends that other programs than blkback serve. Throws the
 * errors of the store.
 */
export async function readOtherDisks(
  store: Xenstore,
  options?: RequestOptions,
): Promise<OtherDisk[]> {
  const vbds = await listOtherDisks(store, options);
  if (vbds.length === 0) return [];
  const paths = vbds.flatMap((vbd) => NODES.map((node) => backendNode(vbd, node)));
  const values = await store.readMany(paths, options);
  return vbds.flatMap((vbd, index) => {
    const at = index * NODES.length;
    const [params, mode, device, frontend] = values.slice(at, at + NODES.length);
    if (frontend === undefined) return [];
    return [
      {
        vbd,
        devnum: device && scanDevnum(device.toString('latin1')),
        path: params && parseOtherParams(params.toString('utf8')),
        writable: mode?.toString('utf8').includes('w') ?? true,
      },
    ];
  });
}

/**
 * Returns the path in `params` of a disk that QEMU or tapdisk serves. The path may stand behind the
 * format, as in `aio:/srv/a.img` (libxl_device.c, libxl__device_disk_string_of_format). Returns
 * `undefined` where there is no absolute path, as for a disk on the network. Pure.
 */
export function parseOtherParams(params: string): string | undefined {
  return /^(?:[a-z0-9_-]+:)?(\/.+)$/s.exec(params)?.[1];
}
