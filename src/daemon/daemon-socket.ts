/** The socket at which hotplug scripts ask the daemon, unless the configuration names another. */
export const DAEMON_SOCKET = '/run/xen-blkback/control.sock';
