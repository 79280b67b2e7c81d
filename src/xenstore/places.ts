/**
 * Where a xenstored may be reached, in the order in which libxenstore of Xen 4.17 tries: a socket or
 * a device that `XENSTORED_PATH` names, and that alone; else the socket in `XENSTORED_RUNDIR` or in its
 * usual directory; else the kernel's device, which leads to the xenstored of another domain.
 */
export function xenstoredPlaces(env: Readonly<Record<string, string | undefined>>): string[] {
  const { XENSTORED_PATH: path, XENSTORED_RUNDIR: directory } = env;
  if (path) return [path];
  const sockets = directory
    ? [`${directory}/socket`]
    : ['/run/xenstored/socket', '/var/run/xenstored/socket'];
  return [...sockets, '/dev/xen/xenbus', '/proc/xen/xenbus'];
}
