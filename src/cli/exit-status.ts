import { errorCode } from '../errors.js';
import { XenstoreError } from '../xenstore/xenstore-error.js';

/** What the exit status of a command says, docs/errors.md. That of a hotplug script is 0 or 1. */
export const ExitStatus = {
  done: 0,
  failed: 1,
  usage: 2,
  busy: 3,
  /** A question has no answer: what has to be asked for it does not answer. */
  unknown: 4,
} as const;

/** The command line, the environment or the configuration makes no sense. */
const USAGE: readonly string[] = ['EUSAGE', 'ECONFIG', 'EVBD'];
/** Others use what is asked for. */
const BUSY: readonly string[] = ['EBUSY', 'EHELD', 'EONLINE', 'EADDRINUSE'];
/** What was asked has not been found out; the answer may be either. */
const UNANSWERED: readonly string[] = [
  ...['EACCES', 'EPERM', 'EMFILE', 'ENFILE', 'ENOMEM', 'ECANCELED', 'ETIMEDOUT'],
  ...['EHUNG', 'ELOCK', 'ESYSFS', 'EUNANSWERED', 'EUNAVAILABLE'],
  ...['ECLOSED', 'ECONNREFUSED', 'ECONNRESET'],
];

/** The exit status of a command that has failed. */
export function statusOf(error: unknown): number {
  const code = errorCode(error) ?? '';
  if (USAGE.includes(code)) return ExitStatus.usage;
  return BUSY.includes(code) ? ExitStatus.busy : ExitStatus.failed;
}

/** The same of a command that asks something of a target: the target on the command line is part of it. */
export function statusOfQuestion(error: unknown): number {
  const code = errorCode(error) ?? '';
  if (code === 'ETARGET') return ExitStatus.usage;
  if (UNANSWERED.includes(code) || error instanceof XenstoreError) return ExitStatus.unknown;
  return statusOf(error);
}
