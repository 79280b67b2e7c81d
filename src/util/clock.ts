/**
 * Returns the milliseconds of a clock that only goes forward. It differs from the clock of
 * `performance.now()` in its start only. The module behind `performance` would take a millisecond
 * to load.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
