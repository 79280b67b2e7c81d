import type { Checks } from './checks.js';
import { KILLED, SimulatedProcess, type World } from './process.js';
import type { Action, Outcome } from './script.js';

type Service = InstanceType<import('./bundle.js').Engine['Service']>;

/** The timeout of the daemon's attaches and detaches; milliseconds. */
const TIMEOUT_MS = 10_000;
/** The longest time to an answer. An add may wait for a remove, and run twice for a new vbd. */
const LONGEST_MS = 35_000;

/** A daemon that serves the vbds of this domain. It may be killed at any step, and starts again. */
export class Daemon {
  readonly #world: World;
  readonly #checks: Checks;
  #process: SimulatedProcess | undefined;
  #service: Service | undefined;
  /** What each vbd had when the daemon began its last remove. */
  readonly #looks = new Map<string, ReturnType<Checks['lookAt']>>();
  #isOver = false;

  constructor(world: World, checks: Checks) {
    this.#world = world;
    this.#checks = checks;
  }

  get isThere(): boolean {
    return this.#service !== undefined && (this.#process?.isAlive ?? false);
  }

  /**
   * @param killAfter Returns the number of steps after which the daemon is killed, at each start.
   */
  start(killAfter: () => number | undefined): void {
    if (this.#isOver) return;
    const process = new SimulatedProcess(this.#world, 'daemon', killAfter());
    this.#process = process;
    this.#service = undefined;
    process.onEnd(() => {
      this.#checks.onDaemonKilled();
      this.#world.scheduler.after(100, () => this.start(killAfter));
    });
    process.after(5, () => this.#load(process));
  }

  #load(process: SimulatedProcess): void {
    const { scheduler } = this.#world;
    const { Service, openXenstore } = process.load();
    const service = new Service({
      jobs: {
        ...{ timeoutMs: TIMEOUT_MS, sysfs: '/sys', runDirectory: '/run/xen-blkback', uapi: 'key' },
        onEvent: ({ vbd, action, step, detail }) => {
          scheduler.tell('daemon', () => `${action} ${vbd.backend}: ${step} (${detail})`);
          if (action === 'remove' && step === 'planned')
            this.#looks.set(vbd.backend, this.#checks.lookAt(vbd.backend));
        },
      },
      connect: (signal) => openXenstore({ signal }),
      onNotice: (text) => scheduler.tell('daemon', () => text),
      onReady: () => scheduler.tell('daemon', () => 'is ready'),
      ...{ scripts: ['block-diskseq'], all: false },
    });
    this.#service = service;
    const never = new AbortController();
    service.run(never.signal).catch((error) => {
      if (error !== KILLED) this.#checks.violate(`the daemon ends: ${String(error)}`);
    });
  }

  /**
   * Asks the daemon, as the hotplug script does over the socket. Returns `undefined` if the daemon ends
   * before it answers.
   */
  async ask(action: Action, backend: string): Promise<Outcome | undefined> {
    const { scheduler } = this.#world;
    const [process, service] = [this.#process, this.#service];
    if (process === undefined || service === undefined || !process.isAlive) return undefined;
    const since = scheduler.now;
    this.#looks.delete(backend);
    return await new Promise<Outcome | undefined>((resolve) => {
      let isOver = false;
      const end = (outcome: Outcome | undefined, why = ''): void => {
        if (isOver) return;
        isOver = true;
        scheduler.tell(
          'script',
          () => `${action} ${backend} through the daemon: ${outcome} ${why}`,
        );
        resolve(outcome);
      };
      process.onEnd(() => end(undefined, 'the daemon is gone'));
      const late = scheduler.after(LONGEST_MS, () => {
        if (process.isAlive)
          this.#checks.violate(`the daemon has not answered ${action} ${backend}`);
      });
      process.after(0.1, () => {
        service.handle({ action, path: backend }).then(
          () => {
            late.run = undefined;
            if (!process.isAlive) return;
            if (action === 'add') this.#checks.onAdded(backend, since - LONGEST_MS);
            else this.#onRemoved(backend);
            end('done');
          },
          (error) => {
            late.run = undefined;
            if (process.isAlive) end('failed', String(error));
          },
        );
      });
    });
  }

  /**
   * Checks a remove against what the vbd had when the daemon began with it: an add before it may have
   * undone its own work.
   */
  #onRemoved(backend: string): void {
    const before = this.#looks.get(backend);
    if (before !== undefined) this.#checks.onRemoved(before);
  }

  /** Kills the daemon and does not start it again. */
  stop(): void {
    this.#isOver = true;
    this.#process?.kill('is stopped');
  }
}
