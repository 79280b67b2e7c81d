import {
  type BigIntStats,
  close,
  closeSync,
  constants,
  fstat,
  fstatSync,
  open,
  openSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { SystemError } from './errno.js';

const openFile = promisify(open);
const closeFile = promisify(close);
const statFd = promisify<number, { bigint: true }, BigIntStats>(fstat);

/** `O_PATH` of asm-generic/fcntl.h; Node does not name it. */
export const O_PATH = 0o10000000;
export const { O_RDONLY, O_RDWR, O_NONBLOCK, O_NOFOLLOW, O_DIRECTORY, O_EXCL } = constants;

/** A file descriptor with one owner. It is close-on-exec, as a forked child would keep devices busy. */
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

  /** Opens `path`; `name` stands in messages where the path would say nothing. Throws `SystemError`. */
  static async open(path: string, flags: number, name = path): Promise<OwnedFd> {
    try {
      return new OwnedFd(await openFile(path, flags), name, (flags & O_PATH) !== 0);
    } catch (error) {
      throw SystemError.fromNode('open', name, error);
    }
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
  async reopen(flags: number): Promise<OwnedFd> {
    return OwnedFd.open(`/proc/self/fd/${this.fd}`, flags, this.name);
  }

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** The number, while it is open. */
  get fd(): number {
    if (this.#fd < 0) throw SystemError.fromErrno('use', `${this.name} (already closed)`, 9);
    return this.#fd;
  }

  async stat(): Promise<BigIntStats> {
    try {
      return await statFd(this.fd, { bigint: true });
    } catch (error) {
      throw SystemError.fromNode('fstat', this.name, error);
    }
  }

  /** As `stat`, at once: for device nodes, whose file system is memory. */
  statSync(): BigIntStats {
    try {
      return fstatSync(this.fd, { bigint: true });
    } catch (error) {
      throw SystemError.fromNode('fstat', this.name, error);
    }
  }

  /** Closes it, once. An error of close(2) is not reported: the descriptor is gone all the same. */
  async close(): Promise<void> {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    if (!this.#light) {
      await closeFile(fd).catch(() => undefined);
      return;
    }
    try {
      closeSync(fd);
    } catch {
      // Gone all the same.
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
