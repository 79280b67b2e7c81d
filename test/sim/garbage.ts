import type { Random } from '../bed/random.js';
import type { Checks } from './checks.js';
import { Errno } from './kernel/kernel.js';
import type { Disk } from './kernel/nodes.js';
import { KILLED, SimulatedProcess, type World } from './process.js';

/** The timeout of each detach; milliseconds. */
const TIMEOUT_MS = 10_000;
/** The longest time that two looks and the detaches of all vbds may take; milliseconds. */
const LONGEST_MS = 90_000;
/** The file over which the administrator has a loop device. Guests want it, too. */
const FILE = '/img/b.img';
const LOOP = 5;
/** The path of the administrator's loop device, which guests may want, too. */
export const HANDMADE = `/dev/loop${LOOP}`;
const FLAGS = { isPath: false, isWritable: true, isExclusive: false };

/**
 * An administrator who runs `gc --yes --loops` whenever it comes to their mind, and makes loop
 * devices by hand. What is in use must outlive that.
 */
export class Garbage {
  readonly #world: World;
  readonly #checks: Checks;
  readonly #random: Random;
  /** The loop devices of the administrator, with their sequence numbers. */
  readonly #loops: { readonly disk: Disk; readonly diskseq: bigint }[] = [];
  #isOver = false;

  constructor(world: World, checks: Checks, random: Random) {
    this.#world = world;
    this.#checks = checks;
    this.#random = random;
  }

  start(): void {
    this.#later(() => this.#run(this.#random.between(2, 10)));
    for (let times = this.#random.below(4); times > 0; times--) {
      this.#later(() => this.#makeLoop());
    }
  }

  /** Ends the loop devices that are left. A gc that runs goes on. */
  stop(): void {
    this.#isOver = true;
    for (const { disk, diskseq } of this.#loops) this.#endLoop(disk, diskseq);
  }

  #later(act: () => void): void {
    const longest = this.#random.pick([1, 20, 500, 3000]);
    this.#world.scheduler.after(this.#random.fraction() * longest, () => {
      if (!this.#isOver) act();
    });
  }

  #makeLoop(): void {
    const { kernel, scheduler } = this.#world;
    const node = kernel.files.get(FILE);
    const disk = kernel.disks.get(`loop${LOOP}`) ?? kernel.addLoop(LOOP);
    if (node === undefined || disk.loop?.bound !== undefined || disk.opens > 0) return;
    // No program can keep other people from a number that a stock blkback is about to open.
    if (this.#checks.isAwaited(disk.devnum)) return;
    const file = kernel.open(node, FLAGS);
    kernel.bindLoop(disk, file, { offset: 0n, sizeLimit: 0n, flags: 0 });
    kernel.release(file);
    this.#checks.onReplaced(HANDMADE);
    const { diskseq } = disk;
    scheduler.tell('administrator', () => `binds ${disk.name} to ${FILE}`);
    this.#loops.push({ disk, diskseq });
    if (this.#random.percent(50)) this.#later(() => this.#endLoop(disk, diskseq));
  }

  #endLoop(disk: Disk, diskseq: bigint): void {
    const { kernel, scheduler } = this.#world;
    if (disk.diskseq !== diskseq || disk.loop?.bound === undefined) return;
    scheduler.tell('administrator', () => `unbinds ${disk.name}`);
    const node = { kind: 'device-node', path: `/dev/${disk.name}`, ino: 4n } as const;
    const file = kernel.open({ ...node, devnum: disk.devnum }, FLAGS);
    try {
      kernel.clearLoop(disk);
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
    } finally {
      kernel.release(file);
    }
  }

  /** Runs gc a number of times, one after another. */
  #run(times: number): void {
    const { scheduler } = this.#world;
    const killAfter = this.#random.percent(20) ? this.#random.between(1, 600) : undefined;
    const process = new SimulatedProcess(this.#world, 'gc', killAfter);
    const end = (how: string): void => {
      if (!process.isAlive) return;
      this.#checks.onExit(process);
      process.kill(how);
    };
    process.onEnd(() => {
      if (times > 1) this.#later(() => this.#run(times - 1));
    });
    this.#collect(process).then(
      () => end('exits'),
      (error) => end(`exits: ${String(error)}`),
    );
    scheduler.after(LONGEST_MS, () => {
      if (!process.isAlive) return;
      this.#checks.violate(`gc has not ended after ${LONGEST_MS} ms`);
      process.kill('is killed');
    });
  }

  async #collect(process: SimulatedProcess): Promise<void> {
    const pause = (ms: number): Promise<void> =>
      new Promise((resolve) => process.after(ms, resolve));
    await pause(0.5);
    const { audit, repair, openXenstore } = process.load();
    const store = await openXenstore();
    const place = { sysfs: '/sys', runDirectory: '/run/xen-blkback', scripts: ['block-diskseq'] };
    const tell = (what: string): void => this.#world.scheduler.tell(process.name, () => what);
    // What a repair must not change it must see itself, however close the two looks are.
    const longest = this.#random.pick([1, 50, 1000]);
    const settle = (ms: number): Promise<void> => pause(Math.min(ms, longest));
    for (const finding of await audit(store, place, settle, { loops: true })) {
      const title = `${finding.object} (${finding.kind})`;
      if (finding.repair === undefined) {
        tell(`leaves ${title}`);
        continue;
      }
      tell(`wants to end ${title}`);
      // The repairs before it may have taken their time.
      await pause(this.#random.fraction() * this.#random.pick([1, 50, 3000]));
      await repair(store, finding.repair, { ...place, timeoutMs: TIMEOUT_MS }).then(
        () => tell(`has ended ${title}`),
        (error) => {
          if (error === KILLED) throw error;
          tell(`has not ended ${title}: ${String(error)}`);
        },
      );
    }
  }
}
