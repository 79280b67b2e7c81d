/** A wait that ends with its time limit, or before that with the caller's signal. */
export interface TimeLimit {
  /** Aborted by whichever comes first. */
  readonly signal: AbortSignal;
  /** Aborted at the time limit only. A wait that took too long ends with the reason of this signal. */
  readonly late: AbortSignal;
}

/** Limits a wait to `ms` milliseconds, and to the time until `signal` is aborted. */
export function limitTime(ms: number, signal: AbortSignal | undefined): TimeLimit {
  const late = AbortSignal.timeout(ms);
  return { signal: signal ? AbortSignal.any([signal, late]) : late, late };
}
