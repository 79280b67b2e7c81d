import { BlkbackError } from '../errors.js';

/**
 * Something about the daemon itself. `code` is one of
 * - `EACTIVATION`: what a service manager has passed is no socket that could be used;
 * - `EADDRINUSE`: another daemon serves the control socket;
 * - `ENODAEMON`: no daemon answers at the control socket;
 * - `EENDED`: the daemon has ended, or has cut off a reader who did not read;
 * - `EPROTOCOL`: it says what this version does not understand;
 * - or the code with which it has refused.
 */
export class DaemonError extends BlkbackError {}
