import { readdirSync, readFileSync } from 'node:fs';

/** What the kernel says of a process at this moment. */
export interface ProcessState {
  /** Resident memory in MiB. */
  readonly residentMiB: number;
  readonly descriptors: number;
  readonly threads: number;
  /** How often its threads have gone to sleep so far, and so, how often they have been woken. */
  readonly sleeps: number;
}

export function processState(pid: number): ProcessState {
  const threads = readdirSync(`/proc/${pid}/task`);
  const sleeps = threads.map((thread) => field(`${pid}/task/${thread}`, 'voluntary_ctxt_switches'));
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

/** What a process has spent on processors so far, with its threads that have ended; milliseconds. */
export function busyTime(pid: number): number {
  // Behind the name of the program, which may have any characters (proc(5), /proc/pid/stat).
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  const [USER, SYSTEM, TICK_MS] = [11, 12, 10];
  return (Number(fields[USER]) + Number(fields[SYSTEM])) * TICK_MS;
}
