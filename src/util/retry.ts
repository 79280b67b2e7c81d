export interface RetryOptions {
  /** How often the body is tried at the most. */
  readonly attempts: number;
  /** Upper bound of the first pause; it doubles up to `maxDelayMs`. Each pause is drawn below it. */
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
  /** Names what is retried on; every other error ends the loop at once. */
  readonly retryOn: (error: unknown) => boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `body` until it succeeds, at most `attempts` times, with a random pause in between so that
 * several processes after one resource do not stay in step. The last error is thrown as it is.
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

/** Sleeps `ms` milliseconds; rejects with the signal's own reason when it is aborted. */
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
