import type { VbdEvent } from './vbd-event.js';

/** Upper bounds of the histogram; seconds. An attach takes milliseconds, and 30 s at most. */
export const BUCKETS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

/** A histogram of how long all attaches, or all detaches, have taken. */
export interface Durations {
  count: number;
  /** Seconds. */
  sum: number;
  /** For each bound of `BUCKETS`, the number of jobs that took at most this long. */
  readonly buckets: number[];
}

/** The last attach or detach that failed. */
export interface LastFailure {
  readonly time: Date;
  readonly backend: string;
  readonly action: VbdEvent['action'];
  readonly code: string;
  readonly detail: string;
}

/** Counts of everything that a daemon has done since it was started. */
export class Statistics {
  readonly since = new Date();
  readonly durations: Readonly<Record<VbdEvent['action'], Durations>> = {
    add: noDurations(),
    remove: noDurations(),
  };
  /** The number of failures. The key is the action and the code, with a blank between them. */
  readonly failures = new Map<string, number>();
  warnings = 0;
  /** The number of connections to xenstored that have served. */
  connections = 0;
  lastFailure: LastFailure | undefined;
  /** For each job that is under way, the time of its first step. */
  readonly #begun = new Map<string, Date>();

  /** The number of attaches and detaches that are under way. */
  get running(): number {
    return this.#begun.size;
  }

  /** Takes an event of a job into account. */
  note({ time, vbd, action, step, detail, code = 'EINTERNAL' }: VbdEvent): void {
    const job = `${action} ${vbd.backend}`;
    const begun = this.#begun.get(job) ?? time;
    if (step === 'warned') {
      this.warnings++;
    } else if (step === 'attached' || step === 'removed') {
      this.#begun.delete(job);
      addDuration(this.durations[action], (time.getTime() - begun.getTime()) / 1000);
    } else if (step === 'failed') {
      this.#begun.delete(job);
      const key = `${action} ${code}`;
      this.failures.set(key, (this.failures.get(key) ?? 0) + 1);
      this.lastFailure = { time, backend: vbd.backend, action, code, detail };
    } else {
      this.#begun.set(job, begun);
    }
  }
}

function noDurations(): Durations {
  return { count: 0, sum: 0, buckets: BUCKETS.map(() => 0) };
}

function addDuration(durations: Durations, seconds: number): void {
  durations.count++;
  durations.sum += seconds;
  BUCKETS.forEach((bound, index) => {
    if (seconds <= bound) durations.buckets[index] = (durations.buckets[index] ?? 0) + 1;
  });
}
