import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Xenstore } from '../src/xenstore/xenstore.js';
import { type Bed, startBed } from '../test/bed/bed.js';
import { type Daemon, startDaemon } from '../test/bed/daemon.js';
import { makeImage } from '../test/bed/images.js';
import { built, projectRoot } from '../test/bed/paths.js';
import { CLI } from '../test/bed/script.js';
import { type Lap, Stopwatch } from '../test/bed/stopwatch.js';
import { openStore } from '../test/bed/store.js';
import {
  closeVbd,
  createVbd,
  deleteVbd,
  type Vbd,
  waitInitWait,
  waitState,
} from '../test/bed/toolstack.js';
import { XEN_BLOCK_SCRIPT } from '../test/bed/xen-block.js';

/** The ways of attaching a disk that are compared. */
export type Handler = 'daemon' | 'one-shot' | 'block' | 'peer';

/** One attach as the toolstack sees it: nodes written, state 2 seen, script run; milliseconds. */
export interface Attach {
  readonly handler: Handler;
  readonly vbd: Vbd;
  /** The time from just before the exec of the script to its end. */
  readonly script: Lap;
  /** The time from before the nodes were written to blkback's open of the device. */
  readonly untilOpened: number;
}

/** Options of a `BenchFixture`. */
export interface FixtureOptions {
  /** The kind of blkback that the stand-in plays. */
  readonly guise: 'stock' | 'diskseq';
  /** The path of another hotplug script that is measured, too. */
  readonly peer: string | undefined;
}

const PROGRAMS: Readonly<Record<Exclude<Handler, 'peer'>, string>> = {
  daemon: built('block-diskseq'),
  'one-shot': join(projectRoot, 'hotplug-scripts/block-diskseq'),
  block: XEN_BLOCK_SCRIPT,
};
/** Some scripts fail if another process takes their loop device first. */
const TRIES = 10;
const COMMANDS = { node: ['-e', '0'], version: [CLI, '--version'], list: [CLI, 'list'] } as const;
const LONGEST_MS = 600_000;

/** A bed with the daemon, and a stopwatch for each handler's scripts. */
export class BenchFixture implements AsyncDisposable {
  readonly bed: Bed;
  readonly daemon: Daemon;
  readonly #store: Xenstore;
  readonly #stopwatches = new Map<string, Promise<Stopwatch>>();
  /** All parts, in the order in which they were started. */
  readonly #parts: AsyncDisposable[];
  readonly #peer: string | undefined;
  #frontend = 100;

  private constructor(bed: Bed, daemon: Daemon, store: Xenstore, peer: string | undefined) {
    this.#peer = peer;
    this.bed = bed;
    this.daemon = daemon;
    this.#store = store;
    this.#parts = [bed, store, daemon];
  }

  static async start({ guise, peer }: FixtureOptions): Promise<BenchFixture> {
    const bed = await startBed({ guise });
    const store = await openStore(bed);
    return new BenchFixture(bed, await startDaemon(bed), store, peer);
  }

  /** The handlers that are compared, ours first. */
  get handlers(): readonly Handler[] {
    const ours = ['daemon', 'one-shot'] as const;
    return this.#peer === undefined ? [...ours, 'block'] : [...ours, 'peer', 'block'];
  }

  /** Attaches a new disk to a new guest. */
  async attach(handler: Handler): Promise<Attach> {
    for (let left = TRIES; left > 0; left--) {
      const [attach] = await this.attachMany(handler, 1);
      if (attach !== undefined) return attach;
    }
    throw new Error(`${handler} add failed ${TRIES} times`);
  }

  /** Attaches disks to one new guest, all at once. Leaves out the attaches that have failed. */
  async attachMany(handler: Handler, count: number): Promise<Attach[]> {
    const frontend = this.#frontend++;
    const disks = Array.from({ length: count }, (_, disk) => 51712 + disk);
    const stopwatch = await this.#stopwatch(handler, 'add');
    const attaches = disks.map((devid) => this.#attach(handler, stopwatch, frontend, devid));
    return (await Promise.all(attaches)).filter((attach) => attach !== undefined);
  }

  async #attach(
    handler: Handler,
    stopwatch: Stopwatch,
    frontend: number,
    devid: number,
  ): Promise<Attach | undefined> {
    const params = makeImage(this.bed.images, { marker: `bench ${frontend} ${devid}` });
    // The daemon attaches a vbd in advance only if the vbd names one of the daemon's scripts.
    const script = handler === 'daemon' ? 'block-diskseq' : 'another';
    const start = performance.timeOrigin + performance.now();
    const vbd = await createVbd(this.#store, { frontend, devid, params, script });
    await waitInitWait(this.#store, vbd, LONGEST_MS);
    const lap = await stopwatch.run(vbd.backendPath, LONGEST_MS);
    if (lap.status !== 0) {
      if (isOurs(handler)) throw new Error(`${handler} add ended with status ${lap.status}`);
      await deleteVbd(this.#store, vbd);
      return undefined;
    }
    const opened = await this.bed.blkback.waitFor(
      ({ event, vbd: key }) => event === 'opened' && key === vbd.key,
      LONGEST_MS,
    );
    return { handler, vbd, script: lap, untilOpened: opened.time - start };
  }

  /** Detaches a disk as libxl does, with the handler's own script. */
  async detach({ handler, vbd }: Attach): Promise<void> {
    await closeVbd(this.#store, vbd);
    await waitState(this.#store, vbd, '6');
    const stopwatch = await this.#stopwatch(handler, 'remove');
    const { status } = await stopwatch.run(vbd.backendPath, LONGEST_MS);
    if (status !== 0) throw new Error(`${handler} remove ended with status ${status}`);
    await deleteVbd(this.#store, vbd);
  }

  /** Detaches a disk the short way by deleting its nodes, as when a guest is destroyed. */
  async drop(attach: Attach): Promise<void> {
    const { blkback } = this.bed;
    const { key } = attach.vbd;
    // The other scripts must unbind their loop devices themselves.
    if (!isOurs(attach.handler)) return await this.detach(attach);
    await deleteVbd(this.#store, attach.vbd);
    await blkback.waitFor(({ event, vbd }) => event === 'closed' && vbd === key, LONGEST_MS);
  }

  async dropAll(attaches: readonly Attach[]): Promise<void> {
    for (const attach of attaches) await this.drop(attach);
  }

  /** Returns the least time that a client can take (exec, connect, ask, exit); milliseconds. */
  async bare(): Promise<number> {
    const env = { XEN_BLKBACK_BARE: join(this.bed.directory, 'bare') };
    const stopwatch = await this.#started('bare', async () => {
      const stdio = ['ignore', 'pipe', 'inherit'] as const;
      const server = spawn(built('bare'), ['serve'], { env, stdio: [...stdio] });
      this.#parts.push({ [Symbol.asyncDispose]: async () => void server.kill() });
      if (server.stdout !== null) await once(server.stdout, 'data');
      return await Stopwatch.start([built('bare'), 'add'], env);
    });
    return duration(await stopwatch.run('bare'));
  }

  /** Returns the time of starting Node; milliseconds. */
  node(): Promise<number> {
    return this.command('node');
  }

  /** Returns the time of one of our commands, or of Node alone; milliseconds. */
  async command(name: keyof typeof COMMANDS): Promise<number> {
    const command = [process.execPath, ...COMMANDS[name]];
    const start = () => Stopwatch.start(command, this.daemon.env);
    return duration(await (await this.#started(name, start)).run(name));
  }

  #stopwatch(handler: Handler, action: 'add' | 'remove'): Promise<Stopwatch> {
    const program = handler === 'peer' ? this.#peer : PROGRAMS[handler];
    if (program === undefined) throw new Error('there is no peer');
    const command = [program, action];
    return this.#started(command.join(' '), () => Stopwatch.start(command, this.daemon.env));
  }

  #started(key: string, start: () => Promise<Stopwatch>): Promise<Stopwatch> {
    let stopwatch = this.#stopwatches.get(key);
    if (stopwatch === undefined) {
      stopwatch = start().then((started) => {
        this.#parts.push(started);
        return started;
      });
      this.#stopwatches.set(key, stopwatch);
    }
    return stopwatch;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.#parts.reverse()) await part[Symbol.asyncDispose]();
  }
}

function isOurs(handler: Handler): boolean {
  return handler === 'daemon' || handler === 'one-shot';
}

/** Returns the length of a lap; milliseconds. */
export function duration({ start, end }: Lap): number {
  return end - start;
}

/** Returns the median, or NaN if there are no values. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
