import { fcntlWordSync } from './calls.js';
import { SystemError } from './errno.js';
import type { OwnedFd } from './fd.js';

// asm-generic/fcntl.h; the same on every 64-bit platform.
const F_SETSIG = { name: 'F_SETSIG', number: 10 };
const F_SETLEASE = { name: 'F_SETLEASE', number: 1024 };
const [F_RDLCK, F_WRLCK, F_UNLCK] = [0, 1, 2];
/** What a broken lease is told with instead of SIGIO, which would end the process; ignored by default. */
const SIGURG = 23;

/**
 * Whether nobody but the descriptor `file`, and what shares its open file description, as a loop device
 * does that was set up with it, has that regular file open: in any process, mount namespace or kernel
 * driver. Of a file that is open for reading only it says whether nobody has it open for writing.
 * `false` too where the kernel or the file system cannot tell.
 *
 * It is what F_SETLEASE asks before it gives a lease (fcntl(2); fs/locks.c, check_conflicting_open);
 * the lease is given back in the same breath. Whoever opens the file in between waits for that, or with
 * O_NONBLOCK is told EAGAIN.
 */
export function hasToItself(file: OwnedFd, access: 'read-only' | 'read-write'): boolean {
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
