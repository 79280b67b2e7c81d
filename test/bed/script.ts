import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { within } from './deadline.js';
import { projectRoot } from './paths.js';

export const HOTPLUG_SCRIPT: string = join(projectRoot, 'hotplug-scripts/block-diskseq');
export const CLI: string = join(projectRoot, 'dist/xen-blkback.cjs');

/** No run may take longer, because libxl gives a script 40 s; milliseconds. */
const DEADLINE_MS = 40_000;

/** The result of a program that has ended. */
export interface Run {
  /** The exit status. `null` if the program was killed. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** A running program. */
export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Run>;
}

/** Starts a program and keeps its output. Its environment is PATH and `env`. */
export function startProgram(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  deadlineMs: number = DEADLINE_MS,
): Running {
  const start = performance.now();
  const child = spawn(file, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...env },
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const closed = new Promise<Run>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) =>
      resolve({ status, ...output, milliseconds: performance.now() - start }),
    );
  });
  const ended = within(
    deadlineMs,
    () => `end of ${file} ${args.join(' ')}; it said: ${output.stderr}`,
    () => closed,
  ).finally(() => child.kill('SIGKILL'));
  // The caller awaits the promise later. Until then, a failure must not be unhandled.
  ended.catch(() => {});
  return { process: child, ended };
}

/** Returns the environment that libxl gives a hotplug script. */
export function libxlEnvironment(backendPath: string): Record<string, string> {
  return {
    script: HOTPLUG_SCRIPT,
    XENBUS_TYPE: 'vbd',
    XENBUS_PATH: backendPath,
    XENBUS_BASE_PATH: backendPath.replace(/\/vbd\/.*/, ''),
  };
}
