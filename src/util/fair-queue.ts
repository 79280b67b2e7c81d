/**
 * Runs bodies one after another in the order in which they come. This is a courtesy and no lock: a
 * body that takes longer than `patienceMs` milliseconds no longer holds up the bodies behind it.
 */
export class FairQueue {
  readonly #patienceMs: number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** Runs `body` when its turn has come. Resolves and rejects as `body` does. */
  run<T>(body: () => Promise<T>): Promise<T> {
    // A body that throws before it returns a promise fails alone: the turns behind it go on.
    const started = this.#last.then(() => ({
      result: new Promise<T>((resolve) => resolve(body())),
    }));
    this.#last = started.then(({ result }) => atMost(result, this.#patienceMs));
    return started.then(({ result }) => result);
  }
}

/** Resolves when the promise has settled, and after `ms` milliseconds at the latest. */
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
