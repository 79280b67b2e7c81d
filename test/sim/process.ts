import type { Engine, Globals, Start } from './bundle.js';
import { EBADF, Errno, type Kernel } from './kernel/kernel.js';
import type { OpenFile } from './kernel/nodes.js';
import { nodeFs } from './node-fs.js';
import type { Scheduler } from './scheduler.js';
import type { SimulatedStore } from './store.js';
import { simulatedAddon } from './system-calls.js';

/** Thrown into a process that has ended, by whatever it calls next. */
export const KILLED = Symbol('killed');

export interface World {
  readonly scheduler: Scheduler;
  readonly kernel: Kernel;
  readonly store: SimulatedStore;
  readonly start: Start;
  /** What must not have happened has. */
  readonly violate: (what: string) => void;
  readonly processes: Set<SimulatedProcess>;
}

let lastPid = 100;

/**
 * One process that runs the program: descriptors, timers, and a world that it reaches through them. Its
 * modules are its own, as they are in a real process.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly world: World;
  readonly pid: number;
  readonly fds = new Map<number, OpenFile>();
  readonly #onEnd: (() => void)[] = [];
  #nextFd = 3;
  /** So many steps are left before it is killed. */
  #stepsLeft: number;
  #isAlive = true;

  constructor(world: World, name: string, killAfter = Number.POSITIVE_INFINITY) {
    this.world = world;
    this.name = name;
    this.pid = lastPid++;
    this.#stepsLeft = killAfter;
    world.processes.add(this);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Loads the program. */
  load(): Engine {
    return this.world.start(this.#globals());
  }

  /** Between any two steps it may end. */
  step(): void {
    if (this.#isAlive && --this.#stepsLeft <= 0) this.kill('killed');
    if (!this.#isAlive) throw KILLED;
  }

  kill(how: string): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    this.world.processes.delete(this);
    this.world.scheduler.tell(this.name, () => how);
    for (const end of this.#onEnd) end();
    for (const file of this.fds.values()) this.world.kernel.release(file);
    this.fds.clear();
  }

  onEnd(run: () => void): void {
    this.#onEnd.push(run);
  }

  /** Runs something in it later, if it is still there. */
  after(ms: number, run: () => void) {
    return this.world.scheduler.after(ms, () => {
      if (this.#isAlive) this.#guard(run);
    });
  }

  /** What nobody catches ends a real process. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (error !== KILLED) this.world.violate(`${this.name} has thrown ${String(error)}`);
    }
  }

  addFd(file: OpenFile): number {
    const fd = this.#nextFd++;
    this.fds.set(fd, file);
    return fd;
  }

  file(fd: number): OpenFile {
    const file = this.fds.get(fd);
    if (file === undefined) throw new Errno(EBADF);
    return file;
  }

  closeFd(fd: number): void {
    const file = this.file(fd);
    this.fds.delete(fd);
    this.world.kernel.release(file);
  }

  #globals(): Globals {
    const { scheduler } = this.world;
    const timer = (ms: number, run: () => void) => {
      this.step();
      const event = this.after(ms, run);
      const handle = { event, unref: () => handle, ref: () => handle };
      return handle;
    };
    const addon = simulatedAddon(this);
    const modules: Readonly<Record<string, unknown>> = {
      'node:fs': nodeFs(this),
      'node:module': { createRequire: () => () => addon },
    };
    return {
      require: (name) => modules[name] ?? process.getBuiltinModule(name),
      process: {
        env: {},
        pid: this.pid,
        hrtime: () => [Math.floor(scheduler.now / 1000), (scheduler.now % 1000) * 1e6],
        getBuiltinModule: (name: string) =>
          name === 'node:child_process'
            ? { spawn: (_: string, __: unknown, options: SpawnOptions) => this.#spawn(options) }
            : process.getBuiltinModule(name),
      },
      setTimeout: (run: () => void, ms: number) => timer(ms, run),
      clearTimeout: (handle?: { event: { run: unknown } }) => {
        if (handle) handle.event.run = undefined;
      },
      setImmediate: (run: () => void) => timer(scheduler.random.fraction() * 0.05, run),
      queueMicrotask: (run: () => void) => queueMicrotask(() => this.#guard(run)),
      AbortSignal: {
        any: (signals: AbortSignal[]) => AbortSignal.any(signals),
        timeout: (ms: number) => {
          const controller = new AbortController();
          timer(ms, () => controller.abort(new DOMException('timed out', 'TimeoutError')));
          return controller.signal;
        },
      },
      Math: Object.create(Math, { random: { value: () => scheduler.random.fraction() } }),
    };
  }

  /** The one child that the program has: it holds descriptors for blkback (hold-device.ts). */
  #spawn({ stdio }: SpawnOptions): unknown {
    this.step();
    const holder = new SimulatedProcess(this.world, `${this.name}'s holder`);
    const inherited = stdio.slice(3).map((fd) => this.file(fd as number));
    const directory = inherited[1];
    for (const file of inherited) {
      file.references++;
      holder.addFd(file);
    }
    const look = (): void => {
      const vbd = directory?.node;
      const isCurrent = vbd?.kind === 'vbd' && this.world.kernel.vbds.get(vbd.name) === vbd;
      if (isCurrent && vbd.physicalDevice === undefined) holder.after(200, look);
      else holder.kill('is done');
    };
    holder.after(2, look);
    return { on: () => undefined, unref: () => undefined };
  }
}

interface SpawnOptions {
  readonly stdio: readonly unknown[];
}
