import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { within } from './deadline.js';
import { projectRoot } from './paths.js';

export const HOTPLUG_SCRIPT: string = join(projectRoot, 'hotplug-scripts/block-diskseq');
export const CLI: string = join(projectRoot, 'dist/xen-blkback.cjs');

/** Longer than any run is allowed to take: libxl gives a script 40 s. */
const DEADLINE_MS = 40_000;

/** A program that has ended. */
export interface Run {
  /** `null` if it was killed. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

/** A program on its way. */
export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Run>;
}

/** Starts a program whose output is kept. It sees PATH and `env`, nothing else. */
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
  // Whoever is interested awaits it; until then a failure is no unhandled rejection.
  ended.catch(() => {});
  return { process: child, ended };
}

/** What libxl gives a hotplug script beside its argument. */
export function libxlEnvironment(backendPath: string): Record<string, string> {
  return {
    script: HOTPLUG_SCRIPT,
    XENBUS_TYPE: 'vbd',
    XENBUS_PATH: backendPath,
    XENBUS_BASE_PATH: backendPath.replace(/\/vbd\/.*/, ''),
  };
}
