/**
 * Milliseconds on a clock that only goes forward. It is that of `performance.now()`, but for its start: the
 * module behind that takes a millisecond to load.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
