import { getSystemErrorName } from 'node:util';
import { ERRNO } from '../util/errno.js';
import { XenstoreError } from './xenstore-error.js';

/**
 * The reason why no request can be made any more: the client was closed, or the connection was lost
 * in the way that is given.
 */
export type CloseReason = 'closed' | { readonly lost: string };

/** The name of an operation of a client. */
export type Operation = keyof typeof NAMES;

/** The name of each operation in words for a person, and its name in the wire protocol. */
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
  EBUSY: 'a transaction cannot be started within another one',
  EINVAL: 'xenstored refused the request as invalid',
  ENOENT: 'no such node',
  ENOMEM: 'xenstored is out of memory',
  ENOSPC:
    'the quota of this domain is used up: raise the quota in the configuration of xenstored, or remove nodes that this domain owns',
  E2BIG: 'it is too large: XenStore needs a shorter path or value',
};

/**
 * The quotas of which xenstored has one for one kind of request (do_watch, do_transaction_start and
 * do_set_perms). The quotas of nodes and of the size of a node are not told apart.
 */
const QUOTAS: Partial<Record<Operation, string>> = {
  watch: 'watches',
  start: 'transactions',
  setPermissions: 'permissions of one node',
};

/** The errors of open(2) and connect(2) where there is no xenstored to connect to. */
const NOBODY_THERE: readonly string[] = ['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'ENXIO', 'ENODEV'];

/** Returns the error of a request that xenstored answered with an errno. */
export function requestFailure(op: Operation, path: string, errno: number): XenstoreError {
  const code = getSystemErrorName(-errno);
  const quota = isQuota(op, code) ? QUOTAS[op] : undefined;
  const reason =
    quota === undefined
      ? (REASONS[code] ?? code)
      : `this domain has reached its quota of ${quota}: raise the quota in the configuration of xenstored`;
  return failure(op, path, reason, { code, errno });
}

/** Tells whether a quota was reached. xenstored answers E2BIG for watches, otherwise ENOSPC. */
function isQuota(op: Operation, code: string): boolean {
  return code === 'ENOSPC' || (op === 'watch' && code === 'E2BIG');
}

/** Returns the error of a request that xenstored did not answer within this many milliseconds. */
export function timeoutFailure(op: Operation, path: string, ms: number): XenstoreError {
  return failure(op, path, `xenstored did not answer within ${ms} ms`, { code: 'ETIMEDOUT' });
}

/** Returns the error of a request that was pending when the client ended, or was made later. */
export function closeFailure(op: Operation, path: string, reason: CloseReason): XenstoreError {
  return reason === 'closed'
    ? failure(op, path, 'the client was closed', { code: 'ECLOSED' })
    : failure(op, path, `the connection to xenstored was lost: ${reason.lost}`, {
        code: 'ECONNRESET',
        errno: ERRNO.ECONNRESET,
      });
}

/** Returns the error of a request of a transaction that has ended. */
export function overFailure(op: Operation, path: string): XenstoreError {
  return failure(op, path, 'its transaction has ended', { code: 'EINVAL' });
}

/** Returns the error of a client that could not connect to any of `places`. */
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
