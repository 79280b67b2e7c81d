import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { within } from './deadline.js';

/** A program of the bed, and how it ended. */
export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Resolves with a few words when the process is gone; never rejects. */
  readonly ended: Promise<string>;
  /** Those words, once it is gone. */
  end(): string | undefined;
}

/**
 * Starts a program of the bed. It keeps no test process alive; rejects if it cannot be run. Both C
 * parts ask the kernel to be killed when the thread that started them ends.
 */
export async function startChild(
  file: string,
  args: readonly string[],
  options: SpawnOptions,
): Promise<Child> {
  const process = spawn(file, args, options);
  let words: string | undefined;
  const ended = new Promise<string>((resolve) => {
    process.once('exit', (code, signal) => {
      words = signal === null ? `exited with status ${code}` : `was killed by ${signal}`;
      resolve(words);
    });
  });
  await new Promise<void>((resolve, reject) => {
    process.once('spawn', resolve);
    process.once('error', reject);
  });
  process.unref();
  return { process, pid: process.pid ?? -1, ended, end: () => words };
}

/** Ends the program: SIGTERM, and SIGKILL if that was not enough within `patienceMs`. */
export async function stopChild(child: Child, patienceMs = 3000): Promise<void> {
  if (child.end() !== undefined) return;
  // It was not to keep the process alive; waiting for its end must.
  child.process.ref();
  child.process.kill('SIGTERM');
  try {
    await within(patienceMs, 'end after SIGTERM', () => child.ended);
  } catch {
    child.process.kill('SIGKILL');
    await within(patienceMs, `end of process ${child.pid} after SIGKILL`, () => child.ended);
  }
}
