/** A service manager that hears nothing for a period acts; it is told this many times within one. */
const TIMES_WITHIN = 3;

export interface WatchdogOptions {
  /** How long may pass without a sign of life; milliseconds. */
  readonly periodMs: number;
  /** Whether all is well; may take as long as `signal` is not aborted. */
  readonly check: (signal: AbortSignal) => Promise<boolean>;
  readonly onAlive: () => void;
}

/**
 * Gives a sign of life several times within each period, as long as all is well: the event loop turns,
 * or this would not run, and the check says so. The only timer that the daemon has while idle.
 */
export function startWatchdog({ periodMs, check, onAlive }: WatchdogOptions): Disposable {
  const intervalMs = Math.max(1, Math.floor(periodMs / TIMES_WITHIN));
  let checking = false;
  const look = async (): Promise<void> => {
    // A check that does not end says enough.
    if (checking) return;
    checking = true;
    try {
      if (await check(AbortSignal.timeout(intervalMs))) onAlive();
    } catch {
      // Not well.
    } finally {
      checking = false;
    }
  };
  const timer = setInterval(look, intervalMs);
  void look();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
