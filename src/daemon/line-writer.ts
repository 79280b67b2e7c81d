import { writeText } from '../linux/append.js';
import { atMost } from '../util/at-most.js';

/**
 * The largest number of lines that wait for a reader that does not take them. Further lines are
 * only counted.
 */
const MOST_WAITING = 1000;

/**
 * A writer that writes lines to a descriptor in their order. Its callers never wait, because a
 * write can take long: a file may lie on a file server, and the reader of a pipe or of the
 * journal's socket may be stopped.
 */
export class LineWriter {
  readonly #name: string;
  #fd: number;
  #waiting: string[] = [];
  #lost = 0;
  #writing: Promise<void> | undefined;

  /** @param name Names the file or stream behind `fd` in messages. */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
  }

  /**
   * Queues a line and returns at once.
   *
   * @param line Ends with a newline.
   */
  write(line: string): void {
    if (this.#waiting.length >= MOST_WAITING) this.#lost++;
    else this.#waiting.push(line);
    this.#writing ??= this.#writeAll();
  }

  /**
   * Replaces the descriptor and returns the old one. Lines that still wait go to the new
   * descriptor, too.
   */
  exchange(fd: number): number {
    const old = this.#fd;
    this.#fd = fd;
    return old;
  }

  /** Waits until all lines have been written, but for `ms` milliseconds at most. */
  async flush(ms: number): Promise<void> {
    if (this.#writing !== undefined) await atMost(ms, this.#writing);
  }

  /**
   * Writes all lines that wait. Never rejects: the daemon goes on serving vbds even if a line
   * cannot be written, for example to a full disk.
   */
  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lost = this.#lost === 0 ? '' : `${this.#lost} lines could not be written here\n`;
      const text = this.#waiting.join('') + lost;
      this.#waiting = [];
      this.#lost = 0;
      await writeText(this.#fd, text, this.#name).catch(() => undefined);
    }
    this.#writing = undefined;
  }
}
