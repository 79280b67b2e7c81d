import { connect, type Socket } from 'node:net';
import { errorMessage } from '../errors.js';
import { DaemonError } from './daemon-error.js';
import { ACCEPTED, ENDED, type EventsStart, eventsRequest } from './protocol.js';

/** A living daemon confirms the request within this time; milliseconds. */
const ACCEPT_MS = 2000;

/** Options of `followEvents`. */
export interface FollowOptions {
  /** Its abort ends the sequence of events without an error. */
  readonly signal: AbortSignal;
  /** Called when the daemon has accepted the request. No event after this call is missed. */
  readonly onFollowing: () => void;
  /**
   * The last event that the reader has. The sequence goes on with the event after it. Without this
   * option, a snapshot comes first.
   */
  readonly after?: EventsStart['after'];
}

/**
 * Yields the events of the daemon at the control socket `path`, each as a JSON text, until the
 * signal is aborted. Throws `DaemonError` if no daemon answers, if the daemon refuses, or if it
 * ends.
 */
export async function* followEvents(
  path: string,
  { signal, onFollowing, after }: FollowOptions,
): AsyncGenerator<string> {
  const socket = connect(path);
  const end = (): void => void socket.destroy();
  signal.addEventListener('abort', end, { once: true });
  const silent = new DaemonError(`the daemon at ${path} does not answer`, { code: 'ENODAEMON' });
  const late = setTimeout(() => socket.destroy(silent), ACCEPT_MS);
  let accepted = false;
  try {
    if (signal.aborted) return;
    socket.write(eventsRequest({ after }));
    for await (const line of readLines(socket)) {
      if (!accepted || line.startsWith('failed ')) {
        checkAccepted(path, line);
        accepted = true;
        clearTimeout(late);
        onFollowing();
      } else if (line === ENDED.trimEnd()) {
        throw new DaemonError(`the daemon at ${path} has ended`, { code: 'EENDED' });
      } else if (line.startsWith('event ')) {
        yield line.slice('event '.length);
      }
    }
    throw new Error('the connection has ended');
  } catch (cause) {
    if (signal.aborted) return;
    throw cause instanceof DaemonError ? cause : describeEnd(path, accepted, cause);
  } finally {
    clearTimeout(late);
    signal.removeEventListener('abort', end);
    socket.on('error', () => undefined);
    socket.destroy();
  }
}

async function* readLines(socket: Socket): AsyncGenerator<string> {
  let rest = '';
  socket.setEncoding('utf8');
  for await (const data of socket) {
    const lines = (rest + data).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}

function describeEnd(path: string, accepted: boolean, cause: unknown): DaemonError {
  return accepted
    ? new DaemonError(
        `the daemon at ${path} has ended without a word, or has cut off this reader for being too slow`,
        { code: 'EENDED', cause },
      )
    : new DaemonError(
        `no daemon answers at ${path} (${errorMessage(cause)}): is xen-blkback daemon running?`,
        { code: 'ENODAEMON', cause },
      );
}

function checkAccepted(path: string, line: string): void {
  if (line === ACCEPTED.trimEnd()) return;
  const [, code, sentence] = /^failed (\w+) (.*)$/.exec(line) ?? [];
  throw code === undefined || sentence === undefined
    ? new DaemonError(
        `the daemon at ${path} is of another version: it says ${JSON.stringify(line)}`,
        {
          code: 'EPROTOCOL',
        },
      )
    : new DaemonError(`the daemon at ${path} refuses: ${sentence}`, { code });
}
