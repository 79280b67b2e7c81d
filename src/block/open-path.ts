import { isSystemError, SystemError } from '../linux/errno.js';
import { O_PATH, type OpenOptions, OwnedFd } from '../linux/fd.js';
import { showPath } from '../util/path-bytes.js';
import { withOwnership } from '../util/with-ownership.js';
import { BlockError } from './block-error.js';

const S_IFMT = 0o170000n;
const KINDS = new Map<bigint, string>([
  [0o010000n, 'FIFO'],
  [0o020000n, 'character device'],
  [0o040000n, 'directory'],
  [0o060000n, 'block'],
  [0o100000n, 'file'],
  [0o140000n, 'socket'],
]);

/** A pinned file or device: an O_PATH descriptor that later opens go through. */
export interface PinnedPath {
  readonly fd: OwnedFd;
  readonly kind: 'block' | 'file';
}

/**
 * Follows a path once and pins the file or device at its end. O_PATH has no side effect: no device
 * is opened, no FIFO is waited for, and no tape is rewound. If `symlinks` is false, a path through
 * a symbolic link is refused (`ELOOP`).
 *
 * Throws `BlockError` with the code `ENOTDISK` for anything but a block device or a regular file,
 * and `SystemError` if the path leads nowhere.
 */
export async function pinPath(
  path: string,
  signal?: AbortSignal,
  symlinks = true,
): Promise<PinnedPath> {
  const name = showPath(path);
  return withOwnership(await open(path, { name, symlinks, signal }), async (fd) => {
    const kind = KINDS.get(fd.inode.mode & S_IFMT) ?? 'something unknown';
    if (kind === 'block' || kind === 'file') return { fd, kind };
    throw new BlockError(`${name} is a ${kind}: a block device or a regular file is needed`, {
      code: 'ENOTDISK',
    });
  });
}

async function open(path: string, options: OpenOptions): Promise<OwnedFd> {
  try {
    return await OwnedFd.open(path, O_PATH, options);
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) throw withSpelling(error, path, options);
    if (options.symlinks !== false) throw error;
    if (isSystemError(error, 'ELOOP')) {
      throw new BlockError(
        `${options.name} leads through a symbolic link, which symlinks=no forbids: name the file or device itself`,
        { code: 'ELOOP', errno: error.errno, syscall: error.syscall, cause: error },
      );
    }
    if (isSystemError(error, 'ENOSYS')) {
      throw new BlockError(
        `${options.name} cannot be opened with symlinks=no: the kernel (Linux 5.6 or later has it), or a filter around this process, does not know openat2`,
        { code: 'ENOSYS', errno: error.errno, syscall: error.syscall, cause: error },
      );
    }
    throw error;
  }
}

/**
 * Returns the error for a path that leads nowhere. People write `/path,key=value`, where the whole text
 * is a bare path.
 */
function withSpelling(error: SystemError, path: string, { name }: OpenOptions): SystemError {
  if (!/^[^=]*,[a-z-]+=/.test(path)) return error;
  const { code, errno, syscall } = error;
  return new SystemError(
    `${error.message}; a bare path has no keys behind it: to set them, write path=${name}`,
    { code, errno, syscall, cause: error },
  );
}
