import type { Random } from '../bed/random.js';
import type { Blkback } from './blkback.js';
import type { Checks } from './checks.js';
import { type DeviceMapper, MAPPER_MAJOR } from './kernel/device-mapper.js';
import { Errno } from './kernel/kernel.js';
import { bytesOf, type MappedDevice } from './kernel/nodes.js';
import type { Mix } from './mix.js';
import type { World } from './process.js';

const READ_WRITE = { type: 'linear', params: Buffer.from(''), readOnly: false };
/** The disks on which volumes stand. Guests may want some of them directly. */
const DISKS = ['sda', 'sdc', 'sdd'];

/**
 * The mapper devices of an administrator, who knows nothing of guests: makes them, suspends and
 * resumes them, gives them other tables, removes them, and makes them anew on other disks, under
 * the same name or number.
 */
export class Volumes {
  readonly #world: World;
  readonly #checks: Checks;
  readonly #blkback: Blkback;
  readonly #mix: Mix;
  #isOver = false;

  constructor(world: World, checks: Checks, blkback: Blkback, mix: Mix) {
    this.#world = world;
    this.#checks = checks;
    this.#blkback = blkback;
    this.#mix = mix;
  }

  get #random(): Random {
    return this.#world.scheduler.random;
  }

  /** Makes all volumes, and then does something with one of them now and then. */
  start(mapper: DeviceMapper): void {
    for (const name of this.#mix.volumes) void this.#try(() => this.#make(mapper, name, 0));
    if (this.#mix.volumes.length > 0) this.#later(mapper);
  }

  stop(): void {
    this.#isOver = true;
  }

  #later(mapper: DeviceMapper): void {
    const { scheduler } = this.#world;
    scheduler.after(this.#random.fraction() * this.#random.pick(this.#mix.unrest), () => {
      if (this.#isOver) return;
      void this.#try(() => this.#act(mapper)).then(() => this.#later(mapper));
    });
  }

  /** Whatever the kernel refuses, the administrator leaves. */
  async #try(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Errno)) this.#world.violate(`administrator: ${String(error)}`);
    }
  }

  async #act(mapper: DeviceMapper): Promise<void> {
    const name = this.#random.pick(this.#mix.volumes);
    const device = mapper.find({ name });
    if (device === undefined) {
      await this.#make(mapper, name);
      return;
    }
    const dice = this.#random.below(100);
    if (dice < 40) await this.#suspend(mapper, device);
    else if (dice < 50) this.#remove(mapper, device, true);
    else if (dice < 80) await this.#remakeAll(mapper);
    else await this.#remake(mapper, [name]);
  }

  #sleep(): Promise<void> {
    const ms = this.#random.fraction() * this.#random.pick([0.2, 0.2, 3, 50]);
    return new Promise((resolve) => this.#world.scheduler.after(ms, resolve));
  }

  /** Makes a volume on any disk. Between two steps, the device has no table, or no live one. */
  async #make(mapper: DeviceMapper, name: string, pauses = 1): Promise<void> {
    if (this.#isAwaited(mapper.nextMinor)) return;
    const device = mapper.create(name, `LVM-${this.#random.next()}`);
    this.#tell(() => `makes ${name}, 253:${device.devnum.minor}`);
    if (pauses > 0) await this.#sleep();
    this.#load(mapper, device, this.#random.pick(DISKS));
    if (pauses > 0) await this.#sleep();
    this.#resume(mapper, device);
  }

  #load(mapper: DeviceMapper, device: MappedDevice, name: string): void {
    const disk = this.#world.kernel.disks.get(name);
    if (disk === undefined) return;
    this.#tell(() => `loads ${device.name} with ${name}`);
    const { major, minor } = disk.devnum;
    const params = Buffer.from(`${major}:${minor} 0`);
    mapper.load(device, { ...READ_WRITE, params, length: disk.size / 512n }, disk);
  }

  #resume(mapper: DeviceMapper, device: MappedDevice): void {
    if (!mapper.devices.has(device)) return;
    const lower = device.inactive?.lower;
    const bytes = lower && bytesOf(lower);
    if (bytes !== undefined) this.#checks.onReplaced(`/dev/mapper/${device.name}`, bytes);
    if (device.live !== undefined) this.#checks.onDisturbed(device);
    this.#tell(() => `resumes ${device.name}`);
    mapper.resume(device);
  }

  /** Suspends a volume, and mostly gives it another table, even if somebody has it open. */
  async #suspend(mapper: DeviceMapper, device: MappedDevice): Promise<void> {
    this.#tell(() => `suspends ${device.name}`);
    mapper.suspend(device);
    await this.#sleep();
    if (this.#random.percent(60) && mapper.devices.has(device)) {
      this.#load(mapper, device, this.#chooseDisk(device.name));
    }
    await this.#sleep();
    this.#resume(mapper, device);
  }

  /** Returns a disk that nobody else has, or else rather one that somebody has. */
  #chooseDisk(name: string): string {
    const spare = ['sde', 'sdf'][this.#mix.volumes.indexOf(name)] ?? 'sde';
    if (this.#random.percent(50)) return spare;
    const used = DISKS.filter((disk) => (this.#world.kernel.disks.get(disk)?.opens ?? 0) > 0);
    return this.#random.pick(used.length > 0 ? used : DISKS);
  }

  #remove(mapper: DeviceMapper, device: MappedDevice, isDeferred: boolean): void {
    this.#tell(() => `${isDeferred ? 'removes at the last close' : 'removes'} ${device.name}`);
    mapper.remove(device, isDeferred);
  }

  /** Removes volumes and makes them anew, so that they may exchange their numbers. */
  async #remakeAll(mapper: DeviceMapper): Promise<void> {
    await this.#remake(mapper, this.#random.shuffle(this.#mix.volumes));
  }

  async #remake(mapper: DeviceMapper, names: readonly string[]): Promise<void> {
    const devices = names.map((name) => mapper.find({ name }));
    if (devices.some((device) => (device?.disk?.opens ?? 0) > 0)) return;
    for (const device of devices) if (device) this.#remove(mapper, device, false);
    await this.#sleep();
    for (const name of names) await this.#make(mapper, name);
  }

  /**
   * Tells whether blkback may still open a number without knowing which device it is to be. Any
   * mapper device with that number would become the guest's disk then, which no program can prevent.
   */
  #isAwaited(minor: number): boolean {
    if (this.#blkback.guise !== 'stock') return false;
    const text = `${MAPPER_MAJOR.toString(16)}:${minor.toString(16)}`;
    const isNamed = [...this.#world.store.nodes].some(
      ([path, { value }]) => path.endsWith('/physical-device') && value.toString() === text,
    );
    const { instances } = this.#blkback;
    const isAbout = [...instances.values()].some(
      ({ number }) => number?.major === MAPPER_MAJOR && number.minor === minor,
    );
    return isNamed || isAbout;
  }

  #tell(what: () => string): void {
    this.#world.scheduler.tell('administrator', what);
  }
}
