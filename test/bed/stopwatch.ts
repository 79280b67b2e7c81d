import { createInterface, type Interface } from 'node:readline';
import { type Child, startChild, stopChild } from './child.js';
import { within } from './deadline.js';
import { built } from './paths.js';

/** The exit status of a program, and its start and end in milliseconds of `process.hrtime()`. */
export interface Lap {
  readonly status: number;
  readonly start: number;
  readonly end: number;
}

/** A small C process that starts hotplug scripts as a toolstack does, and measures exec to exit. */
export class Stopwatch implements AsyncDisposable {
  readonly #child: Child;
  readonly #lines: Interface;
  readonly #running = new Map<string, (lap: Lap) => void>();

  private constructor(child: Child, lines: Interface) {
    this.#child = child;
    this.#lines = lines;
    lines.on('line', (line) => this.#ended(line));
  }

  /** Starts a stopwatch for a program. The program sees PATH, `env`, and its vbd in XENBUS_PATH. */
  static async start(
    command: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<Stopwatch> {
    const child = await startChild(built('stopwatch'), command, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { PATH: process.env.PATH, ...env },
    });
    const { stdout } = child.process;
    if (stdout === null) throw new Error('the stopwatch has no output');
    return new Stopwatch(child, createInterface({ input: stdout }));
  }

  /** Runs the program for a backend path, in parallel with other runs. */
  run(path: string, deadlineMs = 60_000): Promise<Lap> {
    const ended = new Promise<Lap>((resolve) => this.#running.set(path, resolve));
    this.#child.process.stdin?.write(`${path}\n`);
    return within(deadlineMs, `the program for ${path} to end`, () => ended);
  }

  #ended(line: string): void {
    const [path = '', status, start, end] = line.split(' ');
    const resolve = this.#running.get(path);
    this.#running.delete(path);
    resolve?.({
      status: Number(status),
      start: Number(start) / 1000,
      end: Number(end) / 1000,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#lines.close();
    await stopChild(this.#child);
  }
}
