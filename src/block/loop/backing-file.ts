import { isSystemError, isWriteRefused, SystemError } from '../../linux/errno.js';
import { O_NONBLOCK, O_RDONLY, O_RDWR, type OwnedFd } from '../../linux/fd.js';
import { retry } from '../../util/retry.js';
import { withOwnership } from '../../util/with-ownership.js';
import { BlockError } from '../block-error.js';

/** The part of a file that becomes a disk. */
export interface FileWindow {
  /** Bytes from the start of the file. */
  readonly offset: bigint;
  /** Bytes; `undefined` means up to the end of the file. */
  readonly size: bigint | undefined;
  /** Logical block size of the disk in bytes. */
  readonly blockSize: number;
  /**
   * Whether a file of 0 bytes is accepted. It becomes a disk without sectors, like a CD-ROM drive
   * without a medium.
   */
  readonly mayBeEmpty?: boolean;
}

/** Retries for a file with a lease: some 5 s altogether. */
const LEASED = { attempts: 40, firstDelayMs: 1, maxDelayMs: 300 } as const;

/** Likely reasons for an error when root opens a file for writing. */
const FORBIDDEN: Readonly<Record<string, string>> = {
  EPERM: 'the file may be immutable or append-only (lsattr), or sealed by its file system',
  EACCES: 'a file server may keep root from it (root_squash), or a security module does',
};

/**
 * An open backing file, with its place as stat(2) tells it. Disposing of it closes the descriptor.
 */
export interface BackingFile extends AsyncDisposable {
  readonly fd: OwnedFd;
  readonly device: bigint;
  readonly inode: bigint;
}

/**
 * Opens the regular file that the O_PATH descriptor `node` stands for, and checks that the window
 * fits the file. Throws `BlockError` with the code `EREADONLY` if writing is wanted but not
 * possible, `EWINDOW` for a bad window, and `EAGAIN` if another process keeps a lease on the file.
 * Throws `SystemError` for other failures.
 */
export async function openBackingFile(
  node: OwnedFd,
  writable: boolean,
  window: FileWindow,
  signal?: AbortSignal,
): Promise<BackingFile> {
  return withOwnership(await reopen(node, writable, signal), async (fd) => {
    const stat = await fd.stat(signal);
    checkWindow(node.name, stat.size, window);
    return {
      fd,
      device: stat.dev,
      inode: stat.ino,
      [Symbol.asyncDispose]: () => fd.close(),
    };
  });
}

/**
 * Opens the file once more through its pin. Another add may have a lease on the file for a moment
 * (`isSoleOpener`), or a file server may have one. The open makes the kernel ask for the lease
 * back, but must not hang until the lease is given back.
 */
async function reopen(node: OwnedFd, writable: boolean, signal?: AbortSignal): Promise<OwnedFd> {
  const flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK;
  const isLeased = (error: unknown): boolean => isSystemError(error, 'EAGAIN');
  try {
    return await retry({ ...LEASED, retryOn: isLeased, signal }, () => node.reopen(flags, signal));
  } catch (error) {
    if (isLeased(error)) {
      throw new BlockError(
        `${node.name} has a lease on it (fcntl F_SETLEASE, as file servers have) that was not given back in time: end its use there, or try again (/proc/locks says which process it is)`,
        { code: 'EAGAIN', cause: error },
      );
    }
    if (!writable || !(error instanceof SystemError)) throw error;
    const { code, errno, syscall, message: reason } = error;
    if (isWriteRefused(error)) {
      throw new BlockError(
        `${node.name} cannot be opened for writing, and the guest is to write it (mode w): use mode r, or a writable file (${reason})`,
        { code: 'EREADONLY', errno, syscall, cause: error },
      );
    }
    const forbidden = FORBIDDEN[code];
    if (forbidden === undefined) throw error;
    throw new BlockError(`${reason}: ${forbidden}`, { code, errno, syscall, cause: error });
  }
}

/**
 * Throws `BlockError` with the code `EWINDOW` unless `window` has at least one block within a file
 * of `fileSize` bytes.
 */
export function checkWindow(name: string, fileSize: bigint, window: FileWindow): void {
  const { offset, blockSize } = window;
  if (window.mayBeEmpty && fileSize === 0n && offset === 0n && window.size === undefined) return;
  const size = window.size ?? (fileSize > offset ? fileSize - offset : 0n);
  const refuse = (problem: string): BlockError =>
    new BlockError(`${name} has ${fileSize} bytes: ${problem}`, { code: 'EWINDOW' });
  if (window.size !== undefined && offset + size > fileSize) {
    throw refuse(`offset ${offset} and size ${size} reach beyond its end`);
  }
  if (size < BigInt(blockSize)) {
    throw refuse(`from offset ${offset} on that is less than one block of ${blockSize} bytes`);
  }
  // The kernel drops the bytes at the end that do not fill a 512-byte sector, as losetup does. With
  // larger blocks, a size that is not a multiple of the block size would leave the guest with a
  // last block that it cannot read.
  if (blockSize > 512 && size % BigInt(blockSize) !== 0n) {
    throw refuse(`${size} bytes are not a multiple of the block size ${blockSize}`);
  }
}
