import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { within } from './deadline.js';
import { built } from './paths.js';

/** The numbers of a bystander's attempts (`rounds`) and of its successes (`taken`). */
export interface ChurnCount {
  readonly rounds: number;
  readonly taken: number;
}

/** A process that unbinds a loop device and binds it to another file, as fast as it can. */
export class Churn implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  /** Binds devices to the file `wrong`. Touches only devices that are bound to one of the two. */
  constructor(wrong: string, right: string) {
    this.#child = spawn(built('churn'), [wrong, right]);
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  start(device: string): void {
    this.#child.stdin.write(`start ${device}\n`);
  }

  async stop(): Promise<ChurnCount> {
    this.#child.stdin.write('stop\n');
    const line = await within(5000, 'the bystander to stop', () => this.#lines.next());
    const [, rounds, taken] = /^stopped (\d+) (\d+)$/.exec(String(line.value)) ?? [];
    return { rounds: Number(rounds), taken: Number(taken) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin.end();
    await ended;
  }
}
