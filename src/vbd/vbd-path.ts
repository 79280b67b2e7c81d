/** A vbd of this domain's backends. */
export interface VbdPath {
  /**
   * Its backend path, relative to this domain: `backend/vbd/<domid>/<devid>`; of a disk that others
   * serve `backend/qdisk/…` or `backend/vbd3/…`.
   */
  readonly backend: string;
  /** Domain of the guest. */
  readonly domid: number;
  /** Device number of the vbd in the guest, e.g. 51712 for xvda. */
  readonly devid: number;
  /** Where the kernel reports its errors: beside the backend directories, not below them. */
  readonly error: string;
  /** Its directory in `/sys/bus/xen-backend/devices`. */
  readonly sysfsName: string;
  /**
   * The backend domain, where the path that was given is absolute. Whoever acts on such a path has to
   * make sure first that it is this domain (`requireOwnDomain`).
   */
  readonly backendDomid?: number | undefined;
}

const BACKEND_PATH =
  /^(?:\/local\/domain\/(0|[1-9]\d{0,4})\/)?backend\/vbd\/(0|[1-9]\d{0,4})\/(0|[1-9]\d{0,9})$/;

/**
 * Reads a backend path: `backend/vbd/<domid>/<devid>` as libxl passes it, or the same below
 * `/local/domain/<domid>/`. Both spellings of one vbd give the same `backend`, so that nobody takes
 * them for two. `undefined` for anything else.
 */
export function parseVbdPath(path: string): VbdPath | undefined {
  const [, domain, domid, devid] = BACKEND_PATH.exec(path) ?? [];
  if (domid === undefined || devid === undefined) return undefined;
  const vbd = vbdPath(Number(domid), Number(devid));
  return domain === undefined ? vbd : { ...vbd, backendDomid: Number(domain) };
}

/**
 * Kinds of backends whose disks others serve: QEMU, and tapdisk. blkback looks at none of them
 * (xen/include/public/io/blkif.h; libxl_types_internal.idl, libxl__device_kind).
 */
export const OTHER_KINDS = ['qdisk', 'vbd3'] as const;
export type BackendKind = 'vbd' | (typeof OTHER_KINDS)[number];

const OTHER_PATH =
  /^(?:\/local\/domain\/(0|[1-9]\d{0,4})\/)?backend\/(qdisk|vbd3)\/(0|[1-9]\d{0,4})\/(0|[1-9]\d{0,9})$/;

/** Reads the backend path of a disk that others serve; `undefined` for anything else. */
export function parseOtherPath(path: string): VbdPath | undefined {
  const [, domain, kind, domid, devid] = OTHER_PATH.exec(path) ?? [];
  if (kind !== 'qdisk' && kind !== 'vbd3') return undefined;
  const vbd = vbdPath(Number(domid), Number(devid), kind);
  return domain === undefined ? vbd : { ...vbd, backendDomid: Number(domain) };
}

/** The path of the disk with this device number that this domain serves to a guest. */
export function vbdPath(domid: number, devid: number, kind: BackendKind = 'vbd'): VbdPath {
  return {
    backend: `backend/${kind}/${domid}/${devid}`,
    domid,
    devid,
    // xenbus_client.c, xenbus_va_dev_error: "error/<nodename>/error", relative to the backend domain.
    error: `error/backend/${kind}/${domid}/${devid}/error`,
    sysfsName: `${kind}-${domid}-${devid}`,
  };
}

/**
 * The same vbd number at another backend domain. Its nodes are named by absolute paths: from here they can be
 * read and watched, and the devices that they name are that domain's.
 */
export function inBackendDomain(vbd: VbdPath, backendDomid: number): VbdPath {
  const home = `/local/domain/${backendDomid}`;
  return {
    ...vbd,
    backend: `${home}/${vbd.backend}`,
    error: `${home}/${vbd.error}`,
    backendDomid,
  };
}

/** Whether two paths name the same disk. */
export function sameVbd(a: VbdPath, b: VbdPath): boolean {
  return a.backend === b.backend;
}

/** The path of a node in the vbd's backend directory. */
export function backendNode(vbd: VbdPath, node: string): string {
  return `${vbd.backend}/${node}`;
}
