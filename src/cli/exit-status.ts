import { errorCode } from '../errors.js';
import { XenstoreError } from '../xenstore/xenstore-error.js';

/** The exit statuses of commands (docs/errors.md). A hotplug script only returns 0 or 1. */
export const ExitStatus = {
  done: 0,
  failed: 1,
  usage: 2,
  busy: 3,
  /** A question has no answer, because something that it depends on does not answer. */
  unknown: 4,
} as const;

/** Codes of errors in the command line, the environment or the configuration. */
const USAGE: readonly string[] = ['EUSAGE', 'ECONFIG', 'EVBD'];
/** Codes of errors that mean that others use the requested object. */
const BUSY: readonly string[] = ['EBUSY', 'EHELD', 'EONLINE', 'EADDRINUSE'];
/** Codes of errors that leave the answer to a question open. */
const UNANSWERED: readonly string[] = [
  ...['EACCES', 'EPERM', 'EMFILE', 'ENFILE', 'ENOMEM', 'ECANCELED', 'ETIMEDOUT'],
  ...['EHUNG', 'ELOCK', 'ESYSFS', 'EUNANSWERED', 'EUNAVAILABLE'],
  ...['ECLOSED', 'ECONNREFUSED', 'ECONNRESET'],
];

/** Returns the exit status of a command that has failed. */
export function statusOf(error: unknown): number {
  const code = errorCode(error) ?? '';
  if (USAGE.includes(code)) return ExitStatus.usage;
  return BUSY.includes(code) ? ExitStatus.busy : ExitStatus.failed;
}

/**
 * Returns the exit status of a failed question about a target. The target is part of the command
 * line, so an invalid target (`ETARGET`) is a usage error.
 */
export function statusOfQuestion(error: unknown): number {
  const code = errorCode(error) ?? '';
  if (code === 'ETARGET') return ExitStatus.usage;
  if (UNANSWERED.includes(code) || error instanceof XenstoreError) return ExitStatus.unknown;
  return statusOf(error);
}
