import { atMost } from './at-most.js';

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
    this.#last = started.then(({ result }) => atMost(this.#patienceMs, result));
    return started.then(({ result }) => result);
  }
}
