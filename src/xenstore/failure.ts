import { getSystemErrorName } from 'node:util';
import { ERRNO } from '../util/errno.js';
import { XenstoreError } from './xenstore-error.js';

/** Why no request can be made any more: the client was closed, or the connection lost, and how. */
export type Ending = 'closed' | { readonly lost: string };

/** What a client does, as a person would call it. */
export type Operation = keyof typeof NAMES;

/** In words for a person, and as the wire protocol calls it. */
const NAMES = {
  open: ['connection', 'connect'],
  read: ['read', 'XS_READ'],
  write: ['write', 'XS_WRITE'],
  mkdir: ['mkdir', 'XS_MKDIR'],
  remove: ['remove', 'XS_RM'],
  directory: ['directory', 'XS_DIRECTORY'],
  getPermissions: ['reading of permissions', 'XS_GET_PERMS'],
  setPermissions: ['setting of permissions', 'XS_SET_PERMS'],
  watch: ['watch', 'XS_WATCH'],
  unwatch: ['unwatch', 'XS_UNWATCH'],
  start: ['start of a transaction', 'XS_TRANSACTION_START'],
  end: ['end of a transaction', 'XS_TRANSACTION_END'],
  transact: ['transaction', 'XS_TRANSACTION_END'],
} as const;

const REASONS: Record<string, string> = {
  EACCES: 'permission denied',
  EAGAIN: 'another client changed what the transaction had read or written',
  EBUSY: 'too many transactions are open',
  EINVAL: 'xenstored refused the request as invalid',
  ENOENT: 'no such node',
  ENOMEM: 'xenstored is out of memory',
  ENOSPC: 'the quota of this domain is used up',
  E2BIG: 'it is too large',
};

/** xenstored has one errno for too many watches and for an answer that is longer than a message. */
const WATCH_QUOTA =
  'this domain has as many watches as its quota allows (128 by default, except in dom0)';

/** What open(2) and connect(2) say where there is nobody to connect to. */
const NOBODY_THERE: readonly string[] = ['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'ENXIO', 'ENODEV'];

/** A request that xenstored answered with an errno. */
export function requestFailure(op: Operation, path: string, errno: number): XenstoreError {
  const code = getSystemErrorName(-errno);
  const reason = op === 'watch' && code === 'E2BIG' ? WATCH_QUOTA : (REASONS[code] ?? code);
  return failure(op, path, reason, { code, errno });
}

/** A request that was not answered in time. */
export function timeoutFailure(op: Operation, path: string, ms: number): XenstoreError {
  return failure(op, path, `xenstored did not answer within ${ms} ms`, { code: 'ETIMEDOUT' });
}

/** A request that was pending when the client ended, or was made after that. */
export function endingFailure(op: Operation, path: string, ending: Ending): XenstoreError {
  return ending === 'closed'
    ? failure(op, path, 'the client was closed', { code: 'ECLOSED' })
    : failure(op, path, `the connection to xenstored was lost: ${ending.lost}`, {
        code: 'ECONNRESET',
        errno: ERRNO.ECONNRESET,
      });
}

/** A request of a transaction that has ended. */
export function overFailure(op: Operation, path: string): XenstoreError {
  return failure(op, path, 'its transaction has ended', { code: 'EINVAL' });
}

/** No connection could be made to any of `places`. */
export function openFailure(places: readonly string[], errno: number): XenstoreError {
  const code = getSystemErrorName(-errno);
  const path = places.join(' or ');
  const details = { errno, syscall: NAMES.open[1], path: places[0] };
  if (!NOBODY_THERE.includes(code)) {
    return new XenstoreError(`cannot connect to xenstored at ${path}: ${code}`, {
      ...details,
      code,
    });
  }
  return new XenstoreError(
    `cannot reach xenstored at ${path}: is it running, and may this user connect to it?`,
    { ...details, code: 'ECONNREFUSED' },
  );
}

function failure(
  op: Operation,
  path: string,
  reason: string,
  details: { readonly code: string; readonly errno?: number },
): XenstoreError {
  const [words, syscall] = NAMES[op];
  const subject = path === '' ? words : `${words} of ${path}`;
  return new XenstoreError(`XenStore ${subject} failed: ${reason}`, {
    ...details,
    syscall,
    path: path || undefined,
  });
}
