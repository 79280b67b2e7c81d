import { openSync } from 'node:fs';
import { errorMessage } from '../errors.js';
import { openForAppending } from '../linux/append.js';
import { closeDescriptor } from '../linux/blocking.js';
import { sendDatagram } from '../linux/datagram.js';
import { toOneLine } from '../util/one-line.js';
import { encodeJournalEntry, isStderrJournal, JOURNAL_SOCKET } from './journal.js';
import { LineWriter } from './line-writer.js';

/** Of syslog.h. */
export const Priority = { error: 3, warning: 4, notice: 5, info: 6, debug: 7 } as const;

export interface LogOptions {
  /** Instead of stderr. */
  readonly file?: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
}

const LOG_DAEMON = 3;
const FILE_MODE = 0o640;
/** How long a file may take to be opened again, or the last lines to be written; milliseconds. */
const PATIENCE_MS = 1000;

/**
 * What the daemon says: to a file, if one is named; to the journal, with fields, if that is where
 * stderr goes; else to stderr. Nobody who says something waits for it to be written.
 */
export class DaemonLog {
  readonly #path: string | undefined;
  readonly #toJournal: boolean;
  readonly #lines: LineWriter;

  /** Throws Node's error where the file cannot be opened. */
  constructor({ file, environment }: LogOptions) {
    this.#path = file;
    const fd = file === undefined ? process.stderr.fd : openSync(file, 'a', FILE_MODE);
    this.#lines = new LineWriter(fd, file ?? 'stderr');
    this.#toJournal = file === undefined && isStderrJournal(environment);
  }

  /** Whether lines reach the journal, and with it syslog, already. */
  get isJournal(): boolean {
    return this.#toJournal;
  }

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
      // A journal that is being restarted still reads the stream.
      if (sendDatagram(JOURNAL_SOCKET, entry)) return;
    }
    const who = this.#path === undefined ? 'xen-blkback daemon' : `xen-blkback[${process.pid}]`;
    // A journal that does not take the fields has times of its own.
    const time = this.#toJournal ? '' : `${new Date().toISOString()} `;
    this.#lines.write(`${time}${who}: ${line}\n`);
  }

  /** Opens the file again, for whoever has renamed it. If that fails the old one is written on. */
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

  /** Waits a little until all that was said has been written. */
  async flush(): Promise<void> {
    await this.#lines.flush(PATIENCE_MS);
  }
}
