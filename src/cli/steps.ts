import { toOneLine } from '../util/one-line.js';
import { appendFailure } from './log.js';
import { complain } from './output.js';

/** The steps of an action. It prints and remembers them if they are wanted. */
export class Steps {
  /** Call it with each step and its result. */
  readonly onStep: (step: string, detail: string) => void;
  readonly #lines: string[] = [];

  constructor(isVerbose: boolean) {
    this.onStep = isVerbose ? (step, detail) => this.#report(step, detail) : () => undefined;
  }

  /** Appends the steps to a log, because a toolstack may hide the output of its scripts. */
  async log(file: string): Promise<void> {
    const vbd = toOneLine(process.env.XENBUS_PATH ?? '');
    for (const line of this.#lines) await appendFailure(file, `${vbd}: ${line}`);
  }

  #report(step: string, detail: string): void {
    // The time since the process started, which includes loading the program.
    const ms = performance.now().toFixed(1).padStart(8);
    const line = `${ms} ms  ${step.padEnd(10)} ${detail}`;
    complain(`${line}\n`);
    this.#lines.push(line);
  }
}
