/** The path of a vbd of this domain's backends, with the names that follow from it. */
export interface VbdPath {
  /**
   * The backend path, relative to this domain: `backend/vbd/<domid>/<devid>`. For a disk that other
   * programs serve, it is `backend/qdisk/…` or `backend/vbd3/…`.
   */
  readonly backend: string;
  /** The domain of the guest. */
  readonly domid: number;
  /** The device number of the vbd in the guest, e.g. 51712 for xvda. */
  readonly devid: number;
  /**
   * The node in which the kernel reports its errors. It lies beside the backend directories, not
   * below them.
   */
  readonly error: string;
  /** The name of the vbd's directory in `/sys/bus/xen-backend/devices`. */
  readonly sysfsName: string;
  /**
   * The backend domain, where the given path was absolute. Before a program acts on such a path, it
   * has to make sure that the backend domain is this domain (`requireOwnDomain`).
   */
  readonly backendDomid?: number | undefined;
}

const BACKEND_PATH =
  /^(?:\/local\/domain\/(0|[1-9]\d{0,4})\/)?backend\/vbd\/(0|[1-9]\d{0,4})\/(0|[1-9]\d{0,9})$/;

/**
 * Reads a backend path: `backend/vbd/<domid>/<devid>` as libxl passes it, or the same path below
 * `/local/domain/<domid>/`. Both spellings of one vbd give the same `backend`, so that nobody takes
 * them for two vbds. Returns `undefined` for any other text.
 */
export function parseVbdPath(path: string): VbdPath | undefined {
  const [, domain, domid, devid] = BACKEND_PATH.exec(path) ?? [];
  if (domid === undefined || devid === undefined) return undefined;
  const vbd = vbdPath(Number(domid), Number(devid));
  return domain === undefined ? vbd : { ...vbd, backendDomid: Number(domain) };
}

/**
 * Kinds of backends whose disks other programs serve: QEMU and tapdisk. blkback looks at none of
 * them (xen/include/public/io/blkif.h; libxl_types_internal.idl, libxl__device_kind).
 */
export const OTHER_KINDS = ['qdisk', 'vbd3'] as const;
/** The kind of a backend, as in its path. */
export type BackendKind = 'vbd' | (typeof OTHER_KINDS)[number];

const OTHER_PATH =
  /^(?:\/local\/domain\/(0|[1-9]\d{0,4})\/)?backend\/(qdisk|vbd3)\/(0|[1-9]\d{0,4})\/(0|[1-9]\d{0,9})$/;

/**
 * Reads the backend path of a disk that other programs serve; returns `undefined` for any other
 * text.
 */
export function parseOtherPath(path: string): VbdPath | undefined {
  const [, domain, kind, domid, devid] = OTHER_PATH.exec(path) ?? [];
  if (kind !== 'qdisk' && kind !== 'vbd3') return undefined;
  const vbd = vbdPath(Number(domid), Number(devid), kind);
  return domain === undefined ? vbd : { ...vbd, backendDomid: Number(domain) };
}

/** Returns the path of the disk with this device number that this domain serves to a guest. */
export function vbdPath(domid: number, devid: number, kind: BackendKind = 'vbd'): VbdPath {
  return {
    backend: `backend/${kind}/${domid}/${devid}`,
    domid,
    devid,
    // The kernel's name is "error/<nodename>/error", relative to the backend domain
    // (xenbus_client.c, xenbus_va_dev_error).
    error: `error/backend/${kind}/${domid}/${devid}/error`,
    sysfsName: `${kind}-${domid}-${devid}`,
  };
}

/**
 * Returns the vbd of the same numbers in another backend domain. Its nodes have absolute paths.
 * This domain can read and watch them, but the devices that they name belong to the other domain.
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

/** Returns whether two paths name the same disk. */
export function sameVbd(a: VbdPath, b: VbdPath): boolean {
  return a.backend === b.backend;
}

/** Returns the path of a node in the vbd's backend directory. */
export function backendNode(vbd: VbdPath, node: string): string {
  return `${vbd.backend}/${node}`;
}
