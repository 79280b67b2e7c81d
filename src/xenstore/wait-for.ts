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
  const bell = new AutoResetEvent();
  const abort = () => bell.fail(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener('abort', abort, { once: true });
  const listener = { onEvent: () => bell.ring(), onLost: (error: Error) => bell.fail(error) };
  try {
    for (const path of paths) watches.push(await store.watch(path, listener, { signal }));
    for (;;) {
      // The evaluation starts after the watches: a change during the evaluation rings the bell
      // again.
      bell.silence();
      const value = await Promise.race([evaluate(), bell.failed]);
      if (value !== undefined) return value;
      await bell.rung();
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    // Not awaited: no event is delivered from here on, and a xenstored that hangs must not delay an
    // abort.
    for (const watch of watches) void watch.close();
  }
}

/** A bell that remembers a ring that came while nobody listened. */
class AutoResetEvent {
  /** A promise that never resolves, and rejects when waiting has become useless. */
  readonly failed: Promise<never>;
  #fail: (error: unknown) => void = () => {};
  #ringing = false;
  #wake: () => void = () => {};

  constructor() {
    this.failed = new Promise((_resolve, reject) => {
      this.#fail = reject;
    });
    // The bell may fail while nobody waits, and that is no error.
    this.failed.catch(() => {});
  }

  ring(): void {
    this.#ringing = true;
    this.#wake();
  }

  silence(): void {
    this.#ringing = false;
  }

  fail(error: unknown): void {
    this.#fail(error);
  }

  async rung(): Promise<void> {
    const rung = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#ringing) return;
    await Promise.race([rung, this.failed]);
  }
}
