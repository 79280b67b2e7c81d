import { BlkbackError } from '../errors.js';

/**
 * An error about the daemon itself. `code` is one of
 * - `EACTIVATION`: the service manager has not passed a socket that the daemon could use;
 * - `EADDRINUSE`: another daemon serves the control socket;
 * - `ENODAEMON`: no daemon answers at the control socket;
 * - `EENDED`: the daemon has ended, or has cut off a reader that did not read;
 * - `EPROTOCOL`: the daemon has sent a line that this version does not understand;
 * - or the code with which the daemon has refused the request.
 */
export class DaemonError extends BlkbackError {}
