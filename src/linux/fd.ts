import { closeSync, constants, openSync } from 'node:fs';
import { ERRNO } from '../util/errno.js';
import { closeDescriptor } from './blocking-call.js';
import { SystemError } from './errno.js';
import { O_PATH } from './fcntl.js';
import {
  type FileStat,
  type FileSystemStat,
  type Inode,
  inodeOfDescriptor,
  statDescriptor,
  statFileSystem,
} from './file-stat.js';
import { isHeldBack } from './held-descriptors.js';
import { openDescriptorAgain, openPath } from './path-walk.js';

export { O_PATH };
export const { O_RDONLY, O_RDWR, O_NONBLOCK, O_NOFOLLOW, O_DIRECTORY, O_EXCL } = constants;

/** The options of an open. */
export interface OpenOptions {
  /** The name in messages, if the path would tell people nothing. */
  readonly name?: string | undefined;
  /** `false` if the path must not lead through a symbolic link. */
  readonly symlinks?: boolean | undefined;
  /**
   * Gives the open up. The promise rejects with the signal's reason, and a descriptor that is
   * opened late is closed again.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A file descriptor with one owner. It is close-on-exec, because a forked child would keep devices
 * busy. Calls that may wait for a file system or a device run as a `blockingCall` and can be given
 * up with a signal.
 */
export class OwnedFd implements AsyncDisposable {
  #fd: number;
  /** The opened file or device, for messages. */
  readonly name: string;

  /**
   * Whether a close has no effect but on the descriptor, unlike the close of a file or a disk. Such
   * a close needs no other thread.
   */
  readonly #light: boolean;

  private constructor(fd: number, name: string, light: boolean) {
    this.#fd = fd;
    this.name = name;
    this.#light = light;
  }

  /**
   * Opens `path`. Throws `SystemError`, with the code `EHUNG` if too many calls wait for the same
   * place.
   */
  static async open(path: string, flags: number, options: OpenOptions = {}): Promise<OwnedFd> {
    const { name = path, ...rest } = options;
    return new OwnedFd(await openPath(path, flags, { object: name, ...rest }), name, false);
  }

  /**
   * Opens `path` at once, on this thread. It is for files that answer from memory, such as sysfs
   * and control nodes in /dev. Throws `SystemError`.
   */
  static openSync(path: string, flags: number, name = path): OwnedFd {
    try {
      return new OwnedFd(openSync(path, flags), name, true);
    } catch (error) {
      throw SystemError.fromNode('open', name, error);
    }
  }

  /**
   * Opens the file of this descriptor once more, with other flags. No path is followed: the same
   * inode is opened, whatever has happened to its name. Throws as `blockingCall` does.
   */
  async reopen(flags: number, signal?: AbortSignal): Promise<OwnedFd> {
    const fd = await openDescriptorAgain(this.fd, flags, { object: this.name, signal });
    return new OwnedFd(fd, this.name, false);
  }

  /** Tells whether the descriptor is open. */
  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** The number of the descriptor. Throws `SystemError` with the code `EBADF` after a close. */
  get fd(): number {
    if (this.#fd < 0)
      throw SystemError.fromErrno('use', `${this.name} (already closed)`, ERRNO.EBADF);
    return this.#fd;
  }

  /** Reads the properties of the file. Throws as `blockingCall` does. */
  async stat(signal?: AbortSignal): Promise<FileStat> {
    return await statDescriptor(this.fd, this.name, signal);
  }

  /** Reads the properties of the file system. Throws as `blockingCall` does. */
  async statFileSystem(signal?: AbortSignal): Promise<FileSystemStat> {
    return await statFileSystem(this.fd, this.name, signal);
  }

  /** The inode of the file, read at once. Throws `SystemError`. */
  get inode(): Inode {
    return inodeOfDescriptor(this.fd, this.name);
  }

  /**
   * Closes the descriptor, once. An error of close(2) is not reported, because the descriptor is
   * gone all the same. A slow close is waited for until a second has passed or `signal` is aborted,
   * and then goes on by itself.
   */
  async close(signal?: AbortSignal): Promise<void> {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    if (!this.#light || isHeldBack(fd)) {
      await closeDescriptor(fd, this.name, signal);
      return;
    }
    closeAtOnce(fd);
  }

  /**
   * Closes the descriptor at once. It is only for what `openSync` opens, and for an O_PATH descriptor
   * of a file that another descriptor keeps open. Nothing of a file or its file system ends with such
   * a close, so it never has to wait. Does nothing if a call that was given up still works on the
   * descriptor.
   */
  closeNow(): void {
    if (this.#fd < 0 || isHeldBack(this.#fd)) return;
    const fd = this.#fd;
    this.#fd = -1;
    closeAtOnce(fd);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function closeAtOnce(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // The descriptor is gone all the same.
  }
}
