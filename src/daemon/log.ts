import { closeSync, openSync, writeSync } from 'node:fs';
import { errorMessage } from '../errors.js';
import { sendDatagram } from '../linux/datagram.js';
import { toOneLine } from '../util/one-line.js';
import { encodeJournalEntry, isStderrJournal, JOURNAL_SOCKET } from './journal.js';

/** Of syslog.h. */
export const Priority = { error: 3, warning: 4, notice: 5, info: 6, debug: 7 } as const;

export interface LogOptions {
  /** Instead of stderr. */
  readonly file?: string | undefined;
  readonly environment: NodeJS.ProcessEnv;
}

const LOG_DAEMON = 3;

/**
 * What the daemon says: to a file, if one is named; to the journal, with fields, if that is where
 * stderr goes; else to stderr.
 */
export class DaemonLog {
  readonly #path: string | undefined;
  readonly #toJournal: boolean;
  #file: number | undefined;

  /** Throws Node's error where the file cannot be opened. */
  constructor({ file, environment }: LogOptions) {
    this.#path = file;
    if (file !== undefined) this.#file = openAppending(file);
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
    if (this.#file === undefined) process.stderr.write(`xen-blkback daemon: ${line}\n`);
    else writeLine(this.#file, line);
  }

  /** Opens the file again, for whoever has renamed it. If that fails the old one is written on. */
  reopen(): void {
    if (this.#path === undefined || this.#file === undefined) return;
    const old = this.#file;
    try {
      this.#file = openAppending(this.#path);
    } catch (error) {
      this.write(Priority.error, `the log stays where it is: ${errorMessage(error)}`);
      return;
    }
    closeSync(old);
  }
}

function openAppending(path: string): number {
  return openSync(path, 'a', 0o640);
}

function writeLine(file: number, line: string): void {
  try {
    writeSync(file, `${new Date().toISOString()} xen-blkback[${process.pid}]: ${line}\n`);
  } catch {
    // A full disk is no reason to serve nobody.
  }
}
