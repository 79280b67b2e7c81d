import { atMost } from '../util/at-most.js';

/** A gate that opens for good at the first call of `done()`. */
export class FirstScan {
  #done = () => {};
  #pending: Promise<void> | undefined = new Promise((resolve) => {
    this.#done = resolve;
  });

  /** Opens the gate. */
  done(): void {
    this.#pending = undefined;
    this.#done();
  }

  /** Waits for the first call of `done()`, but for `ms` milliseconds at most. */
  async wait(ms: number): Promise<void> {
    if (this.#pending !== undefined) await atMost(ms, this.#pending);
  }
}
