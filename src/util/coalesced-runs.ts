/**
 * Runs a piece of work for callers that need it done after their call. The work never runs twice at
 * a time, and one run serves all callers that come before it begins.
 */
export class CoalescedRuns<T = void> {
  readonly #work: () => Promise<T>;
  #last: Promise<unknown> = Promise.resolve();
  #coming: Promise<T> | undefined;

  constructor(work: () => Promise<T>) {
    this.#work = work;
  }

  /**
   * Resolves with the result of a run that began after this call. Rejects with the error of that
   * run.
   */
  next(): Promise<T> {
    if (this.#coming !== undefined) return this.#coming;
    const coming = this.#last.then(() => {
      // Later callers may want to see changes that happen from now on, so they need another run.
      this.#coming = undefined;
      return this.#work();
    });
    this.#coming = coming;
    this.#last = coming.catch(() => undefined);
    return coming;
  }
}
