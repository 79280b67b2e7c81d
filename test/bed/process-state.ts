import { readdirSync, readFileSync } from 'node:fs';
import { errorCode } from '../../src/errors.js';

/** The state of a process at one moment, as the kernel tells it. */
export interface ProcessState {
  /** Resident memory in MiB. */
  readonly residentMiB: number;
  readonly descriptors: number;
  readonly threads: number;
  /** How often the threads have gone to sleep so far, and thus how often they have been woken. */
  readonly sleeps: number;
}

/** Reads the state of a process. */
export function processState(pid: number): ProcessState {
  const threads = readdirSync(`/proc/${pid}/task`);
  const sleeps = threads.map((thread) => {
    try {
      return field(`${pid}/task/${thread}`, 'voluntary_ctxt_switches');
    } catch (error) {
      // The thread has ended since it was listed.
      if (['ENOENT', 'ESRCH'].includes(errorCode(error) ?? '')) return 0;
      throw error;
    }
  });
  return {
    residentMiB: field(String(pid), 'VmRSS') / 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: threads.length,
    sleeps: sleeps.reduce((sum, count) => sum + count, 0),
  };
}

function field(process: string, name: string): number {
  const text = readFileSync(`/proc/${process}/status`, 'utf8');
  const value = new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`/proc/${process}/status has no ${name}`);
  return Number(value);
}

/** Returns the processor time of a process so far, ended threads included; milliseconds. */
export function busyTime(pid: number): number {
  // The fields after the program's name, which may contain any characters (/proc/pid/stat).
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  const [USER, SYSTEM, TICK_MS] = [11, 12, 10];
  return (Number(fields[USER]) + Number(fields[SYSTEM])) * TICK_MS;
}
