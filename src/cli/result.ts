// How results and failures are printed: one JSON object, or a line for people.

import { BlkbackError, errorCode, errorMessage } from '../errors.js';
import { shorten, toOneLine } from '../util/one-line.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { statusOf } from './exit-status.js';
import { complain, print } from './output.js';

export interface ResultFormat {
  readonly json?: boolean | undefined;
}

/** Of the JSON that is printed: a program that knows a version can read it. docs/json.md. */
export const JSON_VERSION = 1;

export function printJson(value: object): void {
  print(`${JSON.stringify({ version: JSON_VERSION, ...value })}\n`);
}

/** Says what has failed; returns the sentence. */
export function printFailure(invocation: ResultFormat, error: unknown, vbd?: VbdPath): string {
  if (invocation.json) printJson({ error: describeError(error) });
  const line = describeFailure(vbd, error);
  complain(`xen-blkback: ${line}\n`);
  return line;
}

/** Says what is wrong with a command line, and where to read on; returns the exit status. */
export function printUsageError(invocation: ResultFormat, error: unknown, help: string): number {
  if (invocation.json) printJson({ error: describeError(error) });
  const line = describeFailure(undefined, error);
  const more = errorCode(error) === 'EUSAGE' ? `${/[.?!]$/.test(line) ? '' : ';'} see ${help}` : '';
  complain(`xen-blkback: ${line}${more}\n`);
  return statusOf(error);
}

function describeFailure(vbd: VbdPath | undefined, error: unknown): string {
  const message = shorten(toOneLine(withRemedy(error)));
  // Several scripts run at once and share the log: say which vbd, unless the sentence does.
  return vbd === undefined || message.includes(vbd.backend)
    ? message
    : `${vbd.backend}: ${message}`;
}

/** What the kernel refuses to everybody but root, and what then to do. */
const REFUSALS: readonly (string | undefined)[] = ['EACCES', 'EPERM', 'ECONNREFUSED'];

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
