import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { within } from './deadline.js';

/** A running program of the bed. */
export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Resolves with a few words about the end when the process is gone. Never rejects. */
  readonly ended: Promise<string>;
  /** Returns these words once the process is gone, and `undefined` before. */
  end(): string | undefined;
}

/**
 * Starts a program of the bed. Rejects if the program cannot be run. The program does not keep the
 * test process alive. Both C parts ask the kernel to kill them when the thread that has started
 * them ends.
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

/** Ends the program by SIGTERM, or by SIGKILL if it has not ended after `patienceMs`. */
export async function stopChild(child: Child, patienceMs = 3000): Promise<void> {
  if (child.end() !== undefined) return;
  // The child did not keep this process alive before, but must do so while its end is awaited.
  child.process.ref();
  child.process.kill('SIGTERM');
  try {
    await within(patienceMs, 'end after SIGTERM', () => child.ended);
  } catch {
    child.process.kill('SIGKILL');
    await within(patienceMs, `end of process ${child.pid} after SIGKILL`, () => child.ended);
  }
}
