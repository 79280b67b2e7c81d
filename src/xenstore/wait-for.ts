import type { RequestOptions, Watch, Xenstore } from './xenstore.js';

/**
 * Watches `paths`, and resolves with the first value that `evaluate` gives. `evaluate` is called
 * once, and again after any event, but never twice at a time. Rejects with the error of `evaluate`,
 * when the connection is lost or the client is closed, or with the signal's reason. The watches are
 * closed before the promise settles.
 */
export async function waitFor<T>(
  store: Pick<Xenstore, 'watch'>,
  paths: readonly string[],
  evaluate: () => Promise<T | undefined>,
  options: RequestOptions = {},
): Promise<T> {
  const { signal } = options;
  const watches: Watch[] = [];
  const changed = new ResettableEvent();
  const abort = () => changed.fail(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener('abort', abort, { once: true });
  const listener = { onEvent: () => changed.set(), onLost: (error: Error) => changed.fail(error) };
  try {
    for (const path of paths) watches.push(await store.watch(path, listener, { signal }));
    for (;;) {
      // The evaluation starts after the watches, so a change during the evaluation sets the event
      // again.
      changed.reset();
      const value = await Promise.race([evaluate(), changed.failed]);
      if (value !== undefined) return value;
      await changed.wait();
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    // Not awaited: no event is delivered from here on, and a xenstored that hangs must not delay an
    // abort.
    for (const watch of watches) void watch.close();
  }
}

/** An event that stays set until it is reset, so that none is missed while nobody waits. */
class ResettableEvent {
  /** A promise that never resolves, and rejects when waiting has become useless. */
  readonly failed: Promise<never>;
  #fail: (error: unknown) => void = () => {};
  #isSet = false;
  #wake: () => void = () => {};

  constructor() {
    this.failed = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    // The event may fail while nobody waits, and that is no unhandled error.
    this.failed.catch(() => {});
  }

  /** Wakes the waiter, or lets the next `wait` return at once. */
  set(): void {
    this.#isSet = true;
    this.#wake();
  }

  reset(): void {
    this.#isSet = false;
  }

  fail(error: unknown): void {
    this.#fail(error);
  }

  /** Waits until the event is set. Rejects as `failed` does. */
  async wait(): Promise<void> {
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#isSet) return;
    await Promise.race([woken, this.failed]);
  }
}
