import { isListeningUnixSocket } from '../linux/listening-socket.js';
import { DaemonError } from './daemon-error.js';

/** The constant SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_FD = 3;

/**
 * Returns the descriptor of the listening socket that a service manager has passed to process
 * `pid`, or `undefined` if the service manager has passed none. Removes the variables that announce
 * the socket from the environment. Throws `EACTIVATION` unless exactly one socket was passed, and
 * that socket is a Unix stream socket that listens.
 */
export function takeActivatedSocket(
  environment: NodeJS.ProcessEnv,
  pid: number,
): number | undefined {
  const { LISTEN_PID: whose, LISTEN_FDS: count } = environment;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environment[name];
  if (whose !== String(pid) || count === undefined || count === '0') return undefined;
  if (count !== '1') {
    throw new DaemonError(
      `LISTEN_FDS is ${JSON.stringify(count)}: one socket is needed, the control socket`,
      { code: 'EACTIVATION' },
    );
  }
  if (!isListeningUnixSocket(FIRST_FD)) {
    throw new DaemonError(
      `descriptor ${FIRST_FD}, passed as the control socket, is no Unix stream socket that listens`,
      { code: 'EACTIVATION' },
    );
  }
  return FIRST_FD;
}
