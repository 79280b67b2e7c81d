/** Where hotplug scripts ask the daemon, unless the configuration names another socket. */
export const DAEMON_SOCKET = '/run/xen-blkback/control.sock';
