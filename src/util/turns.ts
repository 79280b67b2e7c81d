/**
 * Lets bodies run one after another, in the order in which they came. It is a courtesy, no lock: one
 * that takes longer than the patience of those behind it does not hold them up any more.
 */
export class Turns {
  readonly #patienceMs: number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** Runs `body` when its turn has come; gives what it gives. */
  take<T>(body: () => Promise<T>): Promise<T> {
    const started = this.#last.then(() => ({ result: body() }));
    this.#last = started.then(({ result }) => atMost(result, this.#patienceMs));
    return started.then(({ result }) => result);
  }
}

/** Resolves when the promise has settled, and at the latest after so many milliseconds. */
function atMost(promise: Promise<unknown>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    promise.then(end, end);
  });
}
