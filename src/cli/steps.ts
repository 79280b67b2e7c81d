import { toOneLine } from '../util/one-line.js';
import { appendFailure } from './log.js';
import { complain } from './output.js';

/** The steps of an action, for those who want to see them. */
export class Steps {
  /** Told of each, with what it came to. */
  readonly onStep: (step: string, detail: string) => void;
  readonly #told: string[] = [];

  constructor(isVerbose: boolean) {
    this.onStep = isVerbose ? (step, detail) => this.#tell(step, detail) : () => undefined;
  }

  /** Adds what was told to a log: a toolstack may let nobody see what its scripts say. */
  async log(file: string): Promise<void> {
    const vbd = toOneLine(process.env.XENBUS_PATH ?? '');
    for (const line of this.#told) await appendFailure(file, `${vbd}: ${line}`);
  }

  #tell(step: string, detail: string): void {
    // Since the process started, so that loading the program counts as well.
    const ms = performance.now().toFixed(1).padStart(8);
    const line = `${ms} ms  ${step.padEnd(10)} ${detail}`;
    complain(`${line}\n`);
    this.#told.push(line);
  }
}
