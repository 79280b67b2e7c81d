import { connect } from 'node:net';
import { errorMessage } from '../errors.js';
import { DaemonError } from './daemon-error.js';
import { PROTOCOL_VERSION } from './protocol.js';

/** A living daemon answers within this time; milliseconds. */
const ANSWER_MS = 5000;
/** The limit of an answer in bytes. No real answer is longer. */
const LONGEST_ANSWER = 1024 * 1024;

/**
 * Asks the daemon at the control socket `path` about itself, and returns its answer without the
 * first word. Throws `DaemonError` if no daemon answers (`ENODAEMON`), if the daemon refuses the
 * caller (`EACCES`), or if the daemon does not know the question (`EPROTOCOL`).
 */
export async function askDaemon(path: string, question: 'status' | 'metrics'): Promise<string> {
  const socket = connect(path);
  const silent = new DaemonError(`the daemon at ${path} does not answer`, { code: 'ENODAEMON' });
  const late = setTimeout(() => socket.destroy(silent), ANSWER_MS);
  let text = '';
  try {
    socket.setEncoding('utf8').write(`xen-blkback ${PROTOCOL_VERSION} ${question}\n`);
    for await (const data of socket) {
      text += data;
      if (text.length > LONGEST_ANSWER) break;
    }
  } catch (cause) {
    if (cause instanceof DaemonError) throw cause;
    throw new DaemonError(
      `no daemon answers at ${path} (${errorMessage(cause)}): is xen-blkback daemon running?`,
      { code: 'ENODAEMON', cause },
    );
  } finally {
    clearTimeout(late);
    socket.on('error', () => undefined);
    socket.destroy();
  }
  const [, code, sentence] = /^failed (\w+) (.*)\n$/.exec(text) ?? [];
  if (code === 'EACCES') throw new DaemonError(`the daemon at ${path}: ${sentence}`, { code });
  if (text.startsWith(`${question}`)) return text.slice(question.length + 1);
  throw new DaemonError(
    `the daemon at ${path} does not know the question ${question}: it is of an older version, restart it`,
    { code: 'EPROTOCOL' },
  );
}
