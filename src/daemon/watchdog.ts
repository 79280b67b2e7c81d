/**
 * The number of signs of life within one period. A service manager acts if it hears nothing for a
 * whole period.
 */
const TIMES_WITHIN = 3;

/** Options of `startWatchdog`. */
export interface WatchdogOptions {
  /** The longest time that may pass without a sign of life; milliseconds. */
  readonly periodMs: number;
  /** Tells whether all is well. It may take until `signal` is aborted. */
  readonly check: (signal: AbortSignal) => Promise<boolean>;
  readonly onAlive: () => void;
}

/**
 * Gives a sign of life several times within each period, as long as the check succeeds. Each sign
 * also shows that the event loop runs, because this code could not run otherwise. This is the only
 * timer of an idle daemon. Disposing of the result stops it.
 */
export function startWatchdog({ periodMs, check, onAlive }: WatchdogOptions): Disposable {
  const intervalMs = Math.max(1, Math.floor(periodMs / TIMES_WITHIN));
  let checking = false;
  const checkOnce = async (): Promise<void> => {
    // A check that has not ended gives no sign of life, and a second one would tell no more.
    if (checking) return;
    checking = true;
    try {
      if (await check(AbortSignal.timeout(intervalMs))) onAlive();
    } catch {
      // A check that fails gives no sign of life.
    } finally {
      checking = false;
    }
  };
  const timer = setInterval(checkOnce, intervalMs);
  void checkOnce();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
