import type { Random } from '../bed/random.js';
import { Errno } from './kernel/kernel.js';
import type { Disk } from './kernel/nodes.js';
import { SimulatedProcess, type World } from './process.js';

const FLAGS = { isPath: false, isWritable: false, isExclusive: false };
const COMMAND = ['/usr/lib/systemd/systemd-udevd'];

/**
 * The probes of udev: after each change of a device a worker opens the device, reads it, and closes
 * it. Meanwhile the device has one opener more, its last close comes later, and LOOP_CLR_FD does not
 * unbind it.
 */
export class Udev {
  readonly #world: World;
  readonly #random: Random;
  /** The longest time until a probe begins, and the longest time that it takes; milliseconds. */
  readonly #longest: { readonly wait: number; readonly probe: number };
  #isOver = false;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#longest = { wait: random.pick([1, 30]), probe: random.pick([2, 30, 400]) };
  }

  /** Probes a device soon. */
  onChange(disk: Disk): void {
    if (this.#isOver) return;
    const wait = this.#random.fraction() * this.#longest.wait;
    this.#world.scheduler.after(wait, () => this.#probe(disk));
  }

  stop(): void {
    this.#isOver = true;
  }

  #probe({ devnum, name }: Disk): void {
    const { kernel, scheduler } = this.#world;
    const node = { kind: 'device-node', path: `/dev/${name}`, ino: 4n, devnum } as const;
    if (this.#isOver || kernel.findDisk(devnum) === undefined) return;
    const worker = new SimulatedProcess(this.#world, 'udev', undefined, COMMAND);
    try {
      worker.addFd(kernel.open(node, FLAGS));
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
    }
    scheduler.after(this.#random.fraction() * this.#longest.probe, () => worker.kill('has read'));
  }
}
