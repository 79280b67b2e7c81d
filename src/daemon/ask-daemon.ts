import { connect } from 'node:net';
import { errorMessage } from '../errors.js';
import { DaemonError } from './daemon-error.js';
import { PROTOCOL_VERSION, type ReportRequest } from './protocol.js';

/** A living daemon answers within this time; milliseconds. */
const ANSWER_MS = 5000;
/** The limit of an answer in bytes. No real answer is longer. */
const LONGEST_ANSWER = 1024 * 1024;
/** The end of every answer. An answer without it was cut off. */
const LINE_END = 0x0a;

/** Options of `askDaemon`. */
export interface AskOptions {
  /** The backend path of the vbd that the question is about. */
  readonly about?: string | undefined;
  readonly timeoutMs?: number | undefined;
}

/**
 * Asks the daemon at the control socket `path` about itself, or about what it has done for a vbd.
 * Returns its answer without the first word. Throws `DaemonError` if no daemon answers
 * (`ENODAEMON`), if the daemon refuses the caller (`EACCES`), if the daemon ends before its answer is
 * complete (`EENDED`), or if the daemon does not know the question or sends too much (`EPROTOCOL`).
 */
export async function askDaemon(
  path: string,
  question: ReportRequest['action'],
  { about, timeoutMs = ANSWER_MS }: AskOptions = {},
): Promise<string> {
  const socket = connect(path);
  const silent = new DaemonError(`the daemon at ${path} does not answer`, { code: 'ENODAEMON' });
  const late = setTimeout(() => socket.destroy(silent), timeoutMs);
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    const line = about === undefined ? question : `${question} ${about}`;
    socket.write(`xen-blkback ${PROTOCOL_VERSION} ${line}\n`);
    for await (const data of socket as AsyncIterable<Buffer>) {
      parts.push(data);
      bytes += data.length;
      if (bytes > LONGEST_ANSWER) throw tooLong(path, question);
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
  const answer = Buffer.concat(parts);
  if (answer.at(-1) !== LINE_END) throw cutOff(path, bytes);
  const text = answer.toString('utf8');
  const [, code, sentence] = /^failed (\w+) (.*)\n$/.exec(text) ?? [];
  if (code === 'EACCES') throw new DaemonError(`the daemon at ${path}: ${sentence}`, { code });
  if (/^\s/.test(text.slice(question.length)) && text.startsWith(question)) {
    return text.slice(question.length + 1);
  }
  throw new DaemonError(
    `the daemon at ${path} does not know the question ${question}: it is of an older version, restart it`,
    { code: 'EPROTOCOL' },
  );
}

function tooLong(path: string, question: string): DaemonError {
  return new DaemonError(
    `the daemon at ${path} answers ${question} with more than ${LONGEST_ANSWER} bytes, and an answer has fewer: it is no daemon of this version, restart it`,
    { code: 'EPROTOCOL' },
  );
}

function cutOff(path: string, bytes: number): DaemonError {
  const when = bytes === 0 ? 'without an answer' : 'in the middle of its answer';
  return new DaemonError(
    `the daemon at ${path} has closed the connection ${when}: it has ended, or is busy; ask again`,
    { code: 'EENDED' },
  );
}
