/**
 * Runs a piece of work for those who want it done after they have asked: never twice at a time, and
 * once for all who ask before it begins.
 */
export class Successive {
  readonly #work: () => Promise<void>;
  #last: Promise<unknown> = Promise.resolve();
  #coming: Promise<void> | undefined;

  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Resolves when a run has ended that has begun after this call; rejects as it does. */
  next(): Promise<void> {
    if (this.#coming !== undefined) return this.#coming;
    const coming = this.#last.then(() => {
      // Whoever asks from here on may ask for what has happened since.
      this.#coming = undefined;
      return this.#work();
    });
    this.#coming = coming;
    this.#last = coming.catch(() => undefined);
    return coming;
  }
}
