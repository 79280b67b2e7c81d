// Writes down the calls to the kernel and the packets of xenstored, for people who look for a fault.

import { appendFileSync, writeSync } from 'node:fs';
import { monotonicMs } from '../util/clock.js';
import { errnoName } from './errno.js';

/** The variable that names a file to which lines are added, or `stderr`. */
const VARIABLE = 'XEN_BLKBACK_TRACE';

/** The function that writes a line; `undefined` if nothing is traced, so that tracing costs nothing. */
export const traceLine: ((text: string) => void) | undefined = openTrace(process.env[VARIABLE]);

/** Writes each line at once, so that the last line is there even if the process is killed next. */
function openTrace(place: string | undefined): typeof traceLine {
  if (!place) return undefined;
  return (text) => {
    const line = `${new Date().toISOString()} xen-blkback[${process.pid}] ${text}\n`;
    try {
      if (place === 'stderr') writeSync(2, line);
      else appendFileSync(place, line, { mode: 0o600 });
    } catch {
      // Nobody could be told about it, and the traced work goes on.
    }
  };
}

/** Traces a system call that was made at once. `result` may be a negative errno. */
export function traceResult(name: string, object: string, result: number): void {
  traceLine?.(`${name} ${object}: ${result < 0 ? errnoName(-result) : result}`);
}

/** Traces a system call that may wait: its begin and its end. */
export function traceCall(name: string, object: string, result: Promise<number>): void {
  if (traceLine === undefined) return;
  const since = monotonicMs();
  traceLine(`${name} ${object} …`);
  const end = (how: unknown): void =>
    traceLine?.(`${name} ${object}: ${how} (${(monotonicMs() - since).toFixed(1)} ms)`);
  result.then(end, (error: unknown) => end(error instanceof Error ? error.message : error));
}
