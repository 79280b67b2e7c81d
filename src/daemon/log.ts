import { constants, openSync } from 'node:fs';
import { errorMessage } from '../errors.js';
import { openForAppending } from '../linux/append.js';
import { closeDescriptor } from '../linux/blocking-call.js';
import { sendDatagram } from '../linux/datagram.js';
import { SystemError } from '../linux/errno.js';
import { toOneLine } from '../util/one-line.js';
import { encodeJournalEntry, isStderrJournal, JOURNAL_SOCKET } from './journal.js';
import { LineWriter } from './line-writer.js';

/** The priorities of syslog.h. */
export const Priority = { error: 3, warning: 4, notice: 5, info: 6, debug: 7 } as const;

/** Options of a `DaemonLog`. */
export interface LogOptions {
  /** The file to write to instead of stderr. */
  readonly file?: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
}

const LOG_DAEMON = 3;
const FILE_MODE = 0o640;
/** How long a file may take to be opened again, or the last lines to be written; milliseconds. */
const PATIENCE_MS = 1000;

/**
 * The log of the daemon. It writes to a file if one is named, to the journal with fields if stderr
 * leads there, and else to stderr. No caller waits until a line has been written.
 */
export class DaemonLog {
  readonly #path: string | undefined;
  readonly #toJournal: boolean;
  readonly #lines: LineWriter;

  /** Opens the file, if one is named. Throws `SystemError` if that fails. */
  constructor({ file, environment }: LogOptions) {
    this.#path = file;
    const fd = file === undefined ? process.stderr.fd : openLog(file);
    this.#lines = new LineWriter(fd, file ?? 'stderr');
    this.#toJournal = file === undefined && isStderrJournal(environment);
  }

  /** Tells whether lines reach the journal, and thereby syslog, already. */
  get isJournal(): boolean {
    return this.#toJournal;
  }

  /** Logs a text as one line. Only the journal gets `priority` and `fields`. */
  write(priority: number, text: string, fields: Readonly<Record<string, string>> = {}): void {
    const line = toOneLine(text);
    if (this.#toJournal) {
      const entry = encodeJournalEntry({
        MESSAGE: line,
        PRIORITY: String(priority),
        SYSLOG_FACILITY: String(LOG_DAEMON),
        SYSLOG_IDENTIFIER: 'xen-blkback',
        ...fields,
      });
      // While the journal restarts, its socket fails, but it still reads the stream behind stderr.
      if (sendDatagram(JOURNAL_SOCKET, entry)) return;
    }
    const who = this.#path === undefined ? 'xen-blkback daemon' : `xen-blkback[${process.pid}]`;
    // The journal adds its own time to a line of the stream.
    const time = this.#toJournal ? '' : `${new Date().toISOString()} `;
    this.#lines.write(`${time}${who}: ${line}\n`);
  }

  /**
   * Opens the file again, for example after a log rotation has renamed it. Goes on with the old
   * file if that fails.
   */
  async reopen(): Promise<void> {
    const path = this.#path;
    if (path === undefined) return;
    await this.flush();
    try {
      const fd = await openForAppending(path, FILE_MODE, AbortSignal.timeout(PATIENCE_MS));
      void closeDescriptor(this.#lines.exchange(fd), path);
    } catch (error) {
      this.write(Priority.error, `the log stays where it is: ${errorMessage(error)}`);
    }
  }

  /** Waits until all lines have been written, but for one second at most. */
  async flush(): Promise<void> {
    await this.#lines.flush(PATIENCE_MS);
  }
}

/** Opens a file for appending. A FIFO that nobody reads is an error, and not a wait for a reader. */
function openLog(file: string): number {
  const { O_APPEND, O_CREAT, O_WRONLY, O_NOCTTY, O_NONBLOCK } = constants;
  try {
    return openSync(file, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK, FILE_MODE);
  } catch (error) {
    throw SystemError.fromNode('open', file, error);
  }
}
