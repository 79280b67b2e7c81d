import { fcntlWordSync } from './calls.js';
import { SystemError } from './errno.js';
import type { OwnedFd } from './fd.js';

// asm-generic/fcntl.h; the same on every 64-bit platform.
const F_SETSIG = { name: 'F_SETSIG', number: 10 };
const F_SETLEASE = { name: 'F_SETLEASE', number: 1024 };
const [F_RDLCK, F_WRLCK, F_UNLCK] = [0, 1, 2];
/** The signal for a broken lease. SIGIO would end the process; SIGURG is ignored by default. */
const SIGURG = 23;

/**
 * Tells whether `file` is the only open file description of a regular file, among all processes,
 * mount namespaces and kernel drivers. A loop device that was set up with `file` shares its
 * description. For a file that is open for reading only, tells whether nobody has the file open for
 * writing. Returns `false` also if the kernel or the file system cannot tell.
 *
 * F_SETLEASE checks this before it gives a lease (fcntl(2); fs/locks.c, check_conflicting_open).
 * The lease is given back at once. A process that opens the file in between waits until then, or
 * gets EAGAIN if it opens with O_NONBLOCK.
 */
export function isSoleOpener(file: OwnedFd, access: 'read-only' | 'read-write'): boolean {
  try {
    fcntlWordSync(file.fd, F_SETSIG, SIGURG, file.name);
    fcntlWordSync(file.fd, F_SETLEASE, access === 'read-only' ? F_RDLCK : F_WRLCK, file.name);
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
  fcntlWordSync(file.fd, F_SETLEASE, F_UNLCK, file.name);
  return true;
}
