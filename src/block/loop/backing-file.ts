import { isSystemError, isWriteRefused, SystemError } from '../../linux/errno.js';
import { O_NONBLOCK, O_RDONLY, O_RDWR, type OwnedFd } from '../../linux/fd.js';
import { handOver } from '../../util/hand-over.js';
import { retry } from '../../util/retry.js';
import { BlockError } from '../block-error.js';

/** The part of a file that becomes a disk. */
export interface FileWindow {
  /** Bytes from the start of the file. */
  readonly offset: bigint;
  /** Bytes; `undefined` means up to the end of the file. */
  readonly size: bigint | undefined;
  /** Logical block size of the disk in bytes. */
  readonly blockSize: number;
  /** A file of 0 bytes is a disk without sectors, as a CD-ROM drive without a medium is. */
  readonly mayBeEmpty?: boolean;
}

/** Some 5 s altogether. */
const LEASED = { attempts: 40, firstDelayMs: 1, maxDelayMs: 300 } as const;

/** What may be behind an error of a file that root is to write. */
const FORBIDDEN: Readonly<Record<string, string>> = {
  EPERM: 'the file may be immutable or append-only (lsattr), or sealed by its file system',
  EACCES: 'a file server may keep root from it (root_squash), or a security module does',
};

/** An open backing file and where it is. */
export interface BackingFile extends AsyncDisposable {
  readonly fd: OwnedFd;
  readonly device: bigint;
  readonly inode: bigint;
}

/**
 * Opens the regular file that the O_PATH descriptor `node` stands for and checks that the window fits
 * it. Throws `EREADONLY` where writing is wanted and cannot be had, `EWINDOW` for a bad window, `EAGAIN`
 * where somebody keeps a lease of it.
 */
export async function openBackingFile(
  node: OwnedFd,
  writable: boolean,
  window: FileWindow,
  signal?: AbortSignal,
): Promise<BackingFile> {
  return handOver(await reopen(node, writable, signal), async (fd) => {
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
 * Somebody may have a lease of the file, another add for a moment (`hasToItself`) or a file server:
 * the open makes the kernel ask for it back, and is not to hang until then.
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

/** Throws `EWINDOW` unless `window` gives at least one block within a file of `fileSize` bytes. */
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
  // The kernel drops what does not fill a 512-byte sector, as losetup does; larger blocks that do
  // not come out even would leave the guest with a last block it cannot read.
  if (blockSize > 512 && size % BigInt(blockSize) !== 0n) {
    throw refuse(`${size} bytes are not a multiple of the block size ${blockSize}`);
  }
}
