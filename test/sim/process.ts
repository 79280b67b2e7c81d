import type { Engine } from './bundle.js';
import { globalsOf, type Session } from './globals.js';
import { EBADF, Errno, type Kernel } from './kernel/kernel.js';
import type { MappedDevice, OpenFile } from './kernel/nodes.js';
import { simulatedKoffi } from './koffi.js';
import { nodeFs } from './node-fs.js';
import type { Scheduler } from './scheduler.js';
import type { SimulatedStore } from './store.js';
import { simulatedAddon } from './system-calls.js';

/** The value that every call throws in a process that has ended. */
export const KILLED = Symbol('killed');

/** The simulated world of all processes. */
export interface World {
  readonly scheduler: Scheduler;
  readonly kernel: Kernel;
  readonly store: SimulatedStore;
  readonly session: Session;
  /** Reports that something has happened that must not happen. */
  readonly violate: (what: string) => void;
  readonly processes: Set<SimulatedProcess>;
  /** Called when the program removes a mapper device, or marks it for deferred removal. */
  readonly onMapperRemoval: (device: MappedDevice) => void;
}

/**
 * One process that runs the program, with its descriptors and timers, through which it reaches the
 * world. As in a real process, its modules have variables of their own.
 */
export class SimulatedProcess {
  readonly name: string;
  readonly world: World;
  readonly pid: number;
  /** The words of its command line. */
  readonly command: readonly string[];
  readonly fds = new Map<number, OpenFile>();
  /** The functions of `node:fs` that the process may use. */
  readonly fs: Readonly<Record<string, unknown>>;
  readonly addon: object;
  readonly koffi: object;
  readonly #onEnd: (() => void)[] = [];
  /** The variables of the program's modules for this process, kept while another process runs. */
  #memory: readonly unknown[] | undefined;
  #nextFd = 3;
  /** The number of steps before the process is killed. */
  #stepsLeft: number;
  #isAlive = true;

  constructor(
    world: World,
    name: string,
    killAfter = Number.POSITIVE_INFINITY,
    command: readonly string[] = ['/usr/bin/node', name],
  ) {
    this.world = world;
    this.name = name;
    this.pid = world.kernel.nextPid();
    this.command = command;
    this.#stepsLeft = killAfter;
    this.fs = nodeFs(this);
    this.addon = simulatedAddon(this);
    this.koffi = simulatedKoffi(this);
    world.processes.add(this);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Loads the program for this process. */
  load(): Engine {
    const { session } = this.world;
    this.#enter();
    if (session.program === undefined) {
      // The evaluation happens once for many schedules, so its steps do not count.
      const left = this.#stepsLeft;
      this.#stepsLeft = Number.POSITIVE_INFINITY;
      session.program = session.start(globalsOf(session));
      this.#stepsLeft = left;
    }
    this.#memory = session.program.remembersNothing();
    session.program.restore(this.#memory);
    return session.program.engine;
  }

  /** Counts one step. The process may be killed between any two steps. */
  step(): void {
    if (this.world.session.current !== this) throw new Error(`${this.name} runs beside another`);
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

  /** Runs a function in the process after some milliseconds, if the process still lives. */
  after(ms: number, run: () => void) {
    return this.world.scheduler.after(ms, () => {
      if (this.#isAlive) this.guard(run);
    });
  }

  /**
   * Runs a function in the process. An uncaught error is a violation: it would end a real process.
   */
  guard(run: () => void): void {
    this.#enter();
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

  /** Makes this process the one that runs. */
  #enter(): void {
    const { session } = this.world;
    const before = session.current;
    if (before === this) return;
    if (before !== undefined && before.#memory !== undefined) {
      before.#memory = session.program?.capture();
    }
    session.current = this;
    if (this.#memory !== undefined) session.program?.restore(this.#memory);
  }

  /** Starts the only child of the program, which holds descriptors for blkback (hold-device.ts). */
  spawn(command: readonly string[], { stdio }: SpawnOptions): unknown {
    this.step();
    const { world } = this;
    const holder = new SimulatedProcess(world, `${this.name}'s holder`, undefined, command);
    const inherited = stdio.slice(3).map((fd) => this.file(fd as number));
    const directory = inherited[1];
    for (const file of inherited) {
      file.references++;
      holder.addFd(file);
    }
    const look = (): void => {
      const vbd = directory?.node;
      const isCurrent = vbd?.kind === 'vbd' && world.kernel.vbds.get(vbd.name) === vbd;
      if (isCurrent && vbd.physicalDevice === undefined) holder.after(200, look);
      else holder.kill('is done');
    };
    holder.after(2, look);
    const kill = (): void => holder.kill('is not needed');
    return { pid: 1, on: () => undefined, unref: () => undefined, kill };
  }
}

/** The options of `spawn` that matter here. */
export interface SpawnOptions {
  readonly stdio: readonly unknown[];
}
