import { constants } from 'node:fs';
import type { Globals, Program, Start } from './bundle.js';
import type { SimulatedProcess, SpawnOptions } from './process.js';

/** The program, and the process that runs now. Everything that the program does happens in it. */
export interface Session {
  readonly start: Start;
  /** The bundle, its source map, and where it begins in the script. */
  readonly source: { readonly text: string; readonly map: string; readonly at: number };
  program: Program | undefined;
  current: SimulatedProcess | undefined;
}

/**
 * A callback after this promise is cheaper than `queueMicrotask`, which keeps track of contexts.
 */
const NOW = Promise.resolve();
const FS = [
  ...['existsSync', 'openSync', 'closeSync', 'readFileSync', 'writeFileSync', 'readdirSync'],
  ...['statSync', 'fstatSync', 'mkdirSync', 'renameSync', 'unlinkSync', 'readlinkSync'],
];

/** Returns everything that the program can reach. It always acts for the process that runs. */
export function globalsOf(session: Session): Globals {
  const current = (): SimulatedProcess => {
    if (session.current === undefined) throw new Error('no process runs');
    return session.current;
  };
  const timer = (ms: number, run: () => void) => {
    const process = current();
    // Whoever catches every error and tries again after a pause would go round for ever otherwise.
    if (process.isAlive) process.step();
    const event = process.after(ms, run);
    const handle = { event, unref: () => handle, ref: () => handle };
    return handle;
  };
  const fs = Object.defineProperties(
    { constants },
    Object.fromEntries(FS.map((name) => [name, { get: () => current().fs[name] }])),
  );
  const modules: Readonly<Record<string, unknown>> = {
    'node:fs': fs,
    'node:module': {
      createRequire: () => (name: string) => (name === 'koffi' ? current().koffi : current().addon),
    },
  };
  return {
    require: (name) => modules[name] ?? process.getBuiltinModule(name),
    process: {
      env: {},
      get pid(): number {
        return current().pid;
      },
      hrtime: (): [number, number] => {
        const { now } = current().world.scheduler;
        return [Math.floor(now / 1000), (now % 1000) * 1e6];
      },
      getBuiltinModule: (name: string) =>
        name === 'node:child_process'
          ? {
              spawn: (file: string, args: readonly string[], options: SpawnOptions) =>
                current().spawn([file, ...args], options),
            }
          : process.getBuiltinModule(name),
    },
    setTimeout: (run: () => void, ms: number) => timer(ms, run),
    clearTimeout: (handle?: { event: { run: unknown } }) => {
      if (handle) handle.event.run = undefined;
    },
    setImmediate: (run: () => void) =>
      timer(current().world.scheduler.random.fraction() * 0.05, run),
    queueMicrotask: (run: () => void) => {
      const process = current();
      void NOW.then(() => process.guard(run));
    },
    AbortSignal: {
      any: (signals: AbortSignal[]) => AbortSignal.any(signals),
      timeout: (ms: number) => {
        const controller = new AbortController();
        timer(ms, () => controller.abort(new DOMException('timed out', 'TimeoutError')));
        return controller.signal;
      },
    },
    Math: Object.create(Math, {
      random: { value: () => current().world.scheduler.random.fraction() },
    }),
  };
}
