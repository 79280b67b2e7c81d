// Prints results and failures as one JSON object or as a line for people.

import { BlkbackError, errorCode, errorMessage } from '../errors.js';
import { shorten, toOneLine } from '../util/one-line.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { statusOf } from './exit-status.js';
import { complain, print } from './output.js';

/** The format of results. */
export interface ResultFormat {
  readonly json?: boolean | undefined;
}

/** The version of the printed JSON (docs/json.md). A program that knows the version can read it. */
export const JSON_VERSION = 1;

/** Prints a value as one line of JSON, with the version. */
export function printJson(value: object): void {
  printJsonText(JSON.stringify({ version: JSON_VERSION, ...value }));
}

/**
 * Prints the text of a JSON value as one line. Control characters that JSON may have as they are
 * become escapes: U+009B begins a command of a terminal.
 */
export function printJsonText(text: string): void {
  const toEscape = (character: string): string => `\\u00${character.charCodeAt(0).toString(16)}`;
  print(`${text.replace(/[\x7f-\x9f]/g, toEscape)}\n`);
}

/** Prints a failure, and returns its sentence. */
export function printFailure(invocation: ResultFormat, error: unknown, vbd?: VbdPath): string {
  if (invocation.json) printJson({ error: describeError(error) });
  const line = describeFailure(vbd, error);
  complain(`xen-blkback: ${line}\n`);
  return line;
}

/**
 * Prints what is wrong with a command line, and the command that shows the help. Returns the exit
 * status.
 */
export function printUsageError(invocation: ResultFormat, error: unknown, help: string): number {
  if (invocation.json) printJson({ error: describeError(error) });
  const line = describeFailure(undefined, error);
  const more = errorCode(error) === 'EUSAGE' ? `${/[.?!]$/.test(line) ? '' : ';'} see ${help}` : '';
  complain(`xen-blkback: ${line}${more}\n`);
  return statusOf(error);
}

function describeFailure(vbd: VbdPath | undefined, error: unknown): string {
  const message = shorten(toOneLine(withRemedy(error)));
  // Several scripts run at once and share the log, so each line must name its vbd.
  return vbd === undefined || message.includes(vbd.backend)
    ? message
    : `${vbd.backend}: ${message}`;
}

/** Codes of errors by which the kernel refuses callers that are not root. */
const REFUSALS: readonly (string | undefined)[] = ['EACCES', 'EPERM', 'ECONNREFUSED'];

/** Returns the message of an error, with the advice to run as root if that may help. */
export function withRemedy(error: unknown): string {
  const message = errorMessage(error);
  const isRoot = process.geteuid?.() === 0;
  // That the daemon's socket refuses this user is the cause of there being no daemon for it.
  const cause = error instanceof Error ? error.cause : undefined;
  const isRefused = [error, cause].some((one) => REFUSALS.includes(errorCode(one)));
  if (isRoot || !isRefused) return message;
  return `${message}; xen-blkback has to be run as root (sudo xen-blkback …)`;
}

function describeError(error: unknown): Record<string, unknown> {
  const message = errorMessage(error);
  if (!(error instanceof BlkbackError)) return { code: 'EINTERNAL', message };
  return { code: error.code, message, errno: error.errno, syscall: error.syscall };
}
