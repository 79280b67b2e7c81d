import { writeText } from '../linux/append.js';
import { pause } from '../util/retry.js';

/** So many lines wait for who does not take them; those that come after are only counted. */
const MOST_WAITING = 1000;

/**
 * Writes lines to a descriptor in their order. Whoever says something never waits: a file may lie on a
 * file server, a pipe or the journal's socket may have a reader that is stopped.
 */
export class LineWriter {
  readonly #name: string;
  #fd: number;
  #waiting: string[] = [];
  #lost = 0;
  #writing: Promise<void> | undefined;

  /** @param name of what is written to, for messages. */
  constructor(fd: number, name: string) {
    this.#fd = fd;
    this.#name = name;
  }

  /** @param line ends with a newline. */
  write(line: string): void {
    if (this.#waiting.length >= MOST_WAITING) this.#lost++;
    else this.#waiting.push(line);
    this.#writing ??= this.#writeAll();
  }

  /** Writes to another descriptor from here on; what waits goes there, too. Returns the old one. */
  exchange(fd: number): number {
    const old = this.#fd;
    this.#fd = fd;
    return old;
  }

  /** Waits until all has been written, but not for longer than some milliseconds. */
  async flush(ms: number): Promise<void> {
    if (this.#writing === undefined) return;
    const patience = new AbortController();
    const late = pause(ms, patience.signal).catch(() => undefined);
    await Promise.race([this.#writing, late]);
    patience.abort();
  }

  /** Never rejects: what cannot be written, on a full disk for one, is no reason to serve nobody. */
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
