import { O_PATH, OwnedFd } from '../linux/fd.js';
import { handOver } from '../util/hand-over.js';
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

/** What a path led to, pinned: an O_PATH descriptor that later opens go through. */
export interface PinnedPath {
  readonly fd: OwnedFd;
  readonly kind: 'block' | 'file';
}

/**
 * Follows a path once and pins what it leads to. O_PATH has no side effect: no device is opened, no
 * FIFO waited for, no tape rewound. Throws `ENOTDISK` for anything but a block device or a regular
 * file, `SystemError` where the path leads nowhere.
 */
export async function pinPath(path: string, signal?: AbortSignal): Promise<PinnedPath> {
  return handOver(await OwnedFd.open(path, O_PATH, { signal }), async (fd) => {
    const kind = KINDS.get(fd.inode.mode & S_IFMT) ?? 'something unknown';
    if (kind === 'block' || kind === 'file') return { fd, kind };
    throw new BlockError(`${path} is a ${kind}: a block device or a regular file is needed`, {
      code: 'ENOTDISK',
    });
  });
}
