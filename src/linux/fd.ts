import { closeSync, constants, openSync } from 'node:fs';
import { ERRNO } from '../util/errno.js';
import { closeDescriptor, isHeldBack } from './blocking.js';
import { SystemError } from './errno.js';
import {
  type FileStat,
  type FileSystemStat,
  type Inode,
  inodeOfDescriptor,
  statDescriptor,
  statFileSystem,
} from './file-stat.js';
import { openDescriptorAgain, openPath } from './path-walk.js';

/** `O_PATH` of asm-generic/fcntl.h; Node does not name it. */
export const O_PATH = 0o10000000;
export const { O_RDONLY, O_RDWR, O_NONBLOCK, O_NOFOLLOW, O_DIRECTORY, O_EXCL } = constants;

export interface OpenOptions {
  /** Stands in messages where the path would say nothing. */
  readonly name?: string | undefined;
  /** `false`: the path must not lead through a symbolic link. */
  readonly symlinks?: boolean | undefined;
  /** Gives it up: the promise rejects with its reason, and what is opened late is closed again. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A file descriptor with one owner. It is close-on-exec, as a forked child would keep devices busy. What
 * may wait for a file system or a device runs as a `blockingCall`, and can be given up with a signal.
 */
export class OwnedFd implements AsyncDisposable {
  #fd: number;
  /** What was opened, for messages. */
  readonly name: string;

  /** Nothing happens when it is closed, unlike a file or a disk: that need not go to another thread. */
  readonly #light: boolean;

  private constructor(fd: number, name: string, light: boolean) {
    this.#fd = fd;
    this.name = name;
    this.#light = light;
  }

  /** Opens `path`. Throws `SystemError`, with `EHUNG` where too many others wait for that place. */
  static async open(path: string, flags: number, options: OpenOptions = {}): Promise<OwnedFd> {
    const { name = path, ...rest } = options;
    return new OwnedFd(await openPath(path, flags, { object: name, ...rest }), name, false);
  }

  /** As `open`, at once: for what answers from memory, such as sysfs and control nodes in /dev. */
  static openSync(path: string, flags: number, name = path): OwnedFd {
    try {
      return new OwnedFd(openSync(path, flags), name, true);
    } catch (error) {
      throw SystemError.fromNode('open', name, error);
    }
  }

  /**
   * Opens what this descriptor refers to once more, with other flags. No path is resolved: the same
   * inode is opened whatever has happened to its name since.
   */
  async reopen(flags: number, signal?: AbortSignal): Promise<OwnedFd> {
    const fd = await openDescriptorAgain(this.fd, flags, { object: this.name, signal });
    return new OwnedFd(fd, this.name, false);
  }

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** The number, while it is open. */
  get fd(): number {
    if (this.#fd < 0)
      throw SystemError.fromErrno('use', `${this.name} (already closed)`, ERRNO.EBADF);
    return this.#fd;
  }

  async stat(signal?: AbortSignal): Promise<FileStat> {
    return await statDescriptor(this.fd, this.name, signal);
  }

  async statFileSystem(signal?: AbortSignal): Promise<FileSystemStat> {
    return await statFileSystem(this.fd, this.name, signal);
  }

  /** Which file it refers to, at once. */
  get inode(): Inode {
    return inodeOfDescriptor(this.fd, this.name);
  }

  /**
   * Closes it, once. An error of close(2) is not reported: the descriptor is gone all the same. One that
   * takes its time is waited for a second, or until `signal` is aborted, and then goes on by itself.
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
   * Closes it at once. Only for an O_PATH descriptor of what another descriptor has open: then nothing
   * of the file, and nothing of its file system, ends with this one, and nobody is waited for.
   */
  closePin(): void {
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
    // Gone all the same.
  }
}
