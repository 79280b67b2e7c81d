import { pause } from '../util/retry.js';

/** The time until something is done for the first time, for those who can wait a little. */
export class Start {
  #done = () => {};
  #pending: Promise<void> | undefined = new Promise((resolve) => {
    this.#done = resolve;
  });

  done(): void {
    this.#pending = undefined;
    this.#done();
  }

  /** Returns at once after `done()`; before that when it is called, or after `ms`. */
  async wait(ms: number): Promise<void> {
    if (this.#pending === undefined) return;
    const patience = new AbortController();
    const late = pause(ms, patience.signal).catch(() => undefined);
    await Promise.race([this.#pending, late]);
    patience.abort();
  }
}
