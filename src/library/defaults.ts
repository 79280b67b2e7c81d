import { DAEMON_SOCKET } from '../daemon/daemon-socket.js';
import { DEFAULT_OPTIONS } from '../hotplug/default-options.js';

export { DEFAULT_OPTIONS };

/** The path of the daemon's control socket, at which a program can follow the events. */
export const DEFAULT_SOCKET: string = DAEMON_SOCKET;
