/** How often, how fast and after which errors something is tried again. */
export interface RetryOptions {
  /** The largest number of attempts. */
  readonly attempts: number;
  /**
   * Upper bound of the first pause; milliseconds. The bound doubles up to `maxDelayMs`, and each
   * pause is drawn at random below it.
   */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /**
   * Tells whether an error is followed by another attempt. Every other error ends the loop at once.
   */
  readonly retryOn: (error: unknown) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `body` until it succeeds, at most `attempts` times. A random pause comes between two
 * attempts, so that several processes that want the same resource do not stay in step. Throws the
 * last error as it is, or the signal's reason when the signal is aborted.
 */
export async function retry<T>(
  options: RetryOptions,
  body: (attempt: number) => Promise<T>,
): Promise<T> {
  let bound = options.firstDelayMs;
  for (let attempt = 1; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await body(attempt);
    } catch (error) {
      if (attempt >= options.attempts || !options.retryOn(error)) throw error;
    }
    await pause(Math.random() * bound, options.signal);
    bound = Math.min(bound * 2, options.maxDelayMs);
  }
}

/** Sleeps `ms` milliseconds. Rejects with the signal's own reason when the signal is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const wake = (): void => {
      signal?.removeEventListener('abort', giveUp);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    const giveUp = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', giveUp, { once: true });
  });
}
