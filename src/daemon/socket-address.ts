import { constants, statSync } from 'node:fs';
import { connect } from 'node:net';
import { O_RDWR, OwnedFd } from '../linux/fd.js';
import { tryLockByte } from '../linux/range-lock.js';
import { DaemonError } from './daemon-error.js';

// The path of the control socket belongs to one daemon at a time.

/**
 * Throws `EADDRINUSE` if something is there that is no socket. The daemon removes an old socket, and
 * must not remove a file that somebody has named by mistake.
 */
export function requireSocket(path: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isSocket()) return;
  throw new DaemonError(`${path} is there and is no socket: move it away, or set another socket`, {
    code: 'EADDRINUSE',
  });
}

/**
 * Takes the lock file beside the socket. Without the lock, a third daemon could begin to listen
 * after this one has looked for others and before it removes the old socket, and would lose its
 * socket.
 */
export function lockAddress(path: string): OwnedFd {
  const file = OwnedFd.openSync(`${path}.lock`, O_RDWR | constants.O_CREAT);
  if (tryLockByte(file, 0n, true)) return file;
  void file.close();
  throw inUse(path);
}

/** Returns the error for a path at which another daemon listens. */
export function inUse(path: string): DaemonError {
  return new DaemonError(`another daemon listens at ${path}: stop that one first, or use it`, {
    code: 'EADDRINUSE',
  });
}

/** Tells whether a daemon listens at a path. */
export function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
