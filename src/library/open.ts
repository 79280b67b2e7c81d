import { type OpenOptions, openXenstore as open } from '../xenstore/open.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { checkOptions, SIGNAL, TIMEOUT } from './check-arguments.js';

/**
 * Connects to xenstored: to the socket that `XENSTORED_PATH` or `XENSTORED_RUNDIR` names, to its
 * usual socket, or to /dev/xen/xenbus. Rejects with `ECONNREFUSED` where there is none, and with
 * `ETIMEDOUT` where it has not taken the connection within the request timeout. An open client
 * keeps the process alive until `close()`, or until the connection is lost.
 */
export async function openXenstore(options: OpenOptions = {}): Promise<Xenstore> {
  checkOptions('openXenstore', options, { requestTimeoutMs: TIMEOUT, signal: SIGNAL });
  return await open(options);
}
