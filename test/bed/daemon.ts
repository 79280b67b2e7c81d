import { join } from 'node:path';
import type { Bed } from './bed.js';
import { type Child, startChild, stopChild } from './child.js';
import { within } from './deadline.js';
import { built } from './paths.js';
import { CLI, libxlEnvironment, type Run, startProgram } from './script.js';
import type { Vbd } from './toolstack.js';

/** A running `xen-blkback daemon`. */
export interface Daemon extends AsyncDisposable {
  readonly socket: string;
  /** The environment for clients of this daemon. */
  readonly env: Readonly<Record<string, string>>;
  readonly child: Child;
  /** Returns all text that the daemon has printed so far. */
  said(): string;
  /** Resolves when the daemon has printed `times` matches of the pattern since its start. */
  says(pattern: RegExp, times?: number): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  stop(): Promise<void>;
}

/** Starts the checkout's daemon on a bed. Resolves when the daemon has looked at every vbd. */
export function startDaemon(bed: Bed, ...options: string[]): Promise<Daemon> {
  return startDaemonProgram(bed, process.execPath, [CLI, 'daemon', ...options]);
}

/** Starts a program that becomes a daemon, and resolves when the daemon has looked at every vbd. */
export async function startDaemonProgram(
  bed: Bed,
  file: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<Daemon> {
  const socket = join(bed.directory, 'control.sock');
  const env = { ...bed.env, XEN_BLKBACK_SOCKET: socket };
  const child = await startChild(file, args, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, ...env, ...more },
  });
  let text = '';
  let heard = () => {};
  child.process.stderr?.setEncoding('utf8').on('data', (more: string) => {
    text += more;
    heard();
  });
  const died = child.ended.then((how): never => {
    throw new Error(`the daemon ${how}; it said:\n${text}`);
  });
  died.catch(() => {});
  const says = (pattern: RegExp, times = 1): Promise<void> =>
    Promise.race([died, hears(pattern, times)]);
  const hears = (pattern: RegExp, times: number): Promise<void> =>
    within(
      30_000,
      () => `the daemon to say ${pattern}; it said:\n${text}`,
      async (signal) => {
        const all = new RegExp(pattern, 'gm');
        while ([...text.matchAll(all)].length < times) {
          signal.throwIfAborted();
          await new Promise<void>((resolve) => {
            heard = resolve;
            signal.addEventListener('abort', () => resolve(), { once: true });
          });
        }
      },
    );
  const stop = async () => {
    child.process.kill('SIGCONT');
    await stopChild(child, 12_000);
  };
  await says(/: ready/).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    socket,
    env,
    child,
    said: () => text,
    says,
    kill: (signal) => void child.process.kill(signal),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Runs the compiled hotplug client as libxl would. */
export function runClient(
  env: Readonly<Record<string, string | undefined>>,
  vbd: Vbd,
  action: string,
): Promise<Run> {
  const whole = { ...env, ...libxlEnvironment(vbd.backendPath) };
  return startProgram(built('block-diskseq'), [action], whole).ended;
}
