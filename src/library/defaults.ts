import { DAEMON_SOCKET } from '../daemon/daemon-socket.js';
import { DEFAULT_OPTIONS } from '../hotplug/default-options.js';

export { DEFAULT_OPTIONS };

/** The control socket of the daemon, where its events can be followed. */
export const DEFAULT_SOCKET: string = DAEMON_SOCKET;
