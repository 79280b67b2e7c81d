// What is said to the kernel and to xenstored, for those who look for a fault of this program or of theirs.

import { appendFileSync, writeSync } from 'node:fs';
import { monotonicMs } from '../util/clock.js';
import { errnoName } from './errno.js';

/** A file to which lines are added, or `stderr`. */
const VARIABLE = 'XEN_BLKBACK_TRACE';

/** Takes a line; `undefined` where nothing is traced, which costs nothing then. */
export const traceLine: ((text: string) => void) | undefined = openTrace(process.env[VARIABLE]);

/** It is written at once, so that what comes last is there whatever happens next. */
function openTrace(place: string | undefined): typeof traceLine {
  if (!place) return undefined;
  return (text) => {
    const line = `${new Date().toISOString()} xen-blkback[${process.pid}] ${text}\n`;
    try {
      if (place === 'stderr') writeSync(2, line);
      else appendFileSync(place, line, { mode: 0o600 });
    } catch {
      // There is nobody who could be told, and what is traced is to go on.
    }
  };
}

/** A system call that was made at once, by its result or negative errno. */
export function traceResult(name: string, object: string, result: number): void {
  traceLine?.(`${name} ${object}: ${result < 0 ? errnoName(-result) : result}`);
}

/** One that may wait: when it begins, and how it ends. */
export function traceCall(name: string, object: string, result: Promise<number>): void {
  if (traceLine === undefined) return;
  const since = monotonicMs();
  traceLine(`${name} ${object} …`);
  const end = (how: unknown): void =>
    traceLine?.(`${name} ${object}: ${how} (${(monotonicMs() - since).toFixed(1)} ms)`);
  result.then(end, (error: unknown) => end(error instanceof Error ? error.message : error));
}
