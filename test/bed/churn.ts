import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { within } from './deadline.js';
import { built } from './paths.js';

/** What a bystander did to a device: how often it tried, and how often it got through. */
export interface ChurnCount {
  readonly rounds: number;
  readonly taken: number;
}

/** A process that tears a loop device down and sets it up over another file, as fast as it can. */
export class Churn implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  /** It puts the file `wrong` behind a device, and touches none that stands on another than these. */
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
