import { isListeningUnixSocket } from '../linux/listening-socket.js';
import { DaemonError } from './daemon-error.js';

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_FD = 3;

/**
 * The listening socket that a service manager has passed to process `pid`, and takes the variables that
 * say so out of the environment. `undefined` where none was passed. Throws `EACTIVATION` for anything
 * but one Unix stream socket that listens.
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
