/**
 * Returns the places where a xenstored may be reached, in the order in which libxenstore of Xen
 * 4.17 tries them. A socket or device that `XENSTORED_PATH` names is the only place. Otherwise the
 * socket in `XENSTORED_RUNDIR` or in the usual directory comes first. The kernel's device, which
 * leads to the xenstored of another domain, comes last.
 */
export function xenstoredPlaces(env: Readonly<Record<string, string | undefined>>): string[] {
  const { XENSTORED_PATH: path, XENSTORED_RUNDIR: directory } = env;
  if (path) return [path];
  const sockets = directory
    ? [`${directory}/socket`]
    : ['/run/xenstored/socket', '/var/run/xenstored/socket'];
  return [...sockets, '/dev/xen/xenbus', '/proc/xen/xenbus'];
}
