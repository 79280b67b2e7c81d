/** A vbd as its backend path names it. */
export interface VbdPath {
  /** The path as given: relative to this domain, or absolute. */
  readonly backend: string;
  /** Domain of the guest. */
  readonly domid: number;
  /** Device number of the vbd in the guest, e.g. 51712 for xvda. */
  readonly devid: number;
  /** Where the kernel reports its errors: beside the backend directories, not below them. */
  readonly error: string;
  /** Its directory in `/sys/bus/xen-backend/devices`. */
  readonly sysfsName: string;
}

/**
 * Reads a backend path: `backend/vbd/<domid>/<devid>` as libxl passes it, or the same below
 * `/local/domain/<domid>/`. `undefined` for anything else.
 */
export function parseVbdPath(path: string): VbdPath | undefined {
  const match =
    /^(\/local\/domain\/(?:0|[1-9]\d{0,4})\/)?backend\/vbd\/(0|[1-9]\d{0,4})\/(0|[1-9]\d{0,9})$/.exec(
      path,
    );
  if (!match?.[2] || !match[3]) return undefined;
  const [, domain = '', domid, devid] = match;
  return {
    backend: path,
    domid: Number(domid),
    devid: Number(devid),
    // xenbus_client.c, xenbus_va_dev_error: "error/<nodename>/error", relative to the backend domain.
    error: `${domain}error/backend/vbd/${domid}/${devid}/error`,
    sysfsName: `vbd-${domid}-${devid}`,
  };
}

/** The path of a node in the vbd's backend directory. */
export function backendNode(vbd: VbdPath, node: string): string {
  return `${vbd.backend}/${node}`;
}
