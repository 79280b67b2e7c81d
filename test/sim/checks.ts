import type { Devnum } from '../../src/linux/devnum.js';
import type { Blkback, BlkbackListener, Instance, OpenDisk } from './blkback.js';
import type { Kernel } from './kernel/kernel.js';
import {
  bytesOf,
  type Disk,
  haveCommonBytes,
  type MappedDevice,
  mappersOf,
} from './kernel/nodes.js';
import type { Kin } from './kin.js';
import type { Scheduler } from './scheduler.js';
import type { SimulatedStore } from './store.js';
import { pathOf } from './target-path.js';

/** The properties that must hold in every schedule. */
export class Checks implements BlkbackListener {
  readonly violations: string[] = [];
  readonly #scheduler: Scheduler;
  readonly #kernel: Kernel;
  readonly #store: SimulatedStore;
  /** For each instance, the bytes that its target has led to since the instance was made. */
  readonly #wanted = new Map<
    Instance,
    { readonly paths: Set<string>; readonly bytes: Set<string> }
  >();
  /** The mapper devices that go with their last guest, because a target says so. */
  readonly #going = new Set<string>();
  /** All opens of devices so far. */
  readonly #opened: OpenDisk[] = [];
  /** For each mapper device with a new table, when it got it, and the instances until then. */
  readonly #disturbed = new WeakMap<
    MappedDevice,
    { readonly time: number; readonly instances: ReadonlySet<Instance> }
  >();
  /** The instances of which an add has succeeded. */
  readonly #served = new WeakSet<Instance>();
  readonly #strict: boolean;
  #blkback: Blkback | undefined;
  /** Vbds that are added and removed at the same time, so that either may win. */
  readonly contradicted = new Set<string>();
  /** Which domains are one virtual machine, where that matters. */
  kin: Kin | undefined;

  /** @param strict Makes the known limits count as violations, too. */
  constructor(
    world: { scheduler: Scheduler; kernel: Kernel; store: SimulatedStore },
    strict: boolean,
  ) {
    this.#strict = strict;
    this.#scheduler = world.scheduler;
    this.#kernel = world.kernel;
    this.#store = world.store;
    this.#kernel.onBytes = (disk) => {
      this.#onBound(disk);
      this.#checkBytes();
    };
    this.#store.onChange((path) => this.#checkRuin(path));
  }

  watch(blkback: Blkback): void {
    this.#blkback = blkback;
  }

  violate(what: string): void {
    this.violations.push(what);
    this.#scheduler.tell('VIOLATION', () => what);
  }

  onInstance(instance: Instance): void {
    this.#wanted.set(instance, { paths: new Set(), bytes: new Set() });
    this.#want(instance, this.#store.read(`${instance.backend}/params`) ?? '');
  }

  /** Notes that a vbd was made anew, perhaps before blkback has noticed the end of the one before. */
  onMade(backend: string, params: string): void {
    const instance = this.#blkback?.instances.get(backend);
    if (instance) this.#want(instance, params);
    if (params.includes('deferred-remove=yes')) this.#going.add(pathOf(params));
  }

  #want(instance: Instance, params: string): void {
    const path = pathOf(params);
    const wanted = this.#wanted.get(instance);
    const bytes = this.#kernel.bytesAt(path);
    wanted?.paths.add(path);
    if (bytes !== undefined) wanted?.bytes.add(bytes);
  }

  /** Notes what a loop device leads to whose path is a target, until it is published. */
  #onBound(disk: Disk): void {
    for (const [{ backend, number }, wanted] of this.#wanted) {
      const isTarget = wanted.paths.has(`/dev/${disk.name}`) && number === undefined;
      const bytes = bytesOf(disk);
      if (!isTarget || this.#store.read(`${backend}/physical-device`) !== undefined) continue;
      if (bytes !== undefined) wanted.bytes.add(bytes);
    }
  }

  onOpen(open: OpenDisk): void {
    this.#opened.push(open);
    this.#checkBytes();
    const { instance, disk } = open;
    const isAlone = instance.isOrphan && this.#blkback?.guise === 'stock' && !this.#strict;
    if (bytesOf(disk) !== undefined || isAlone) return;
    this.violate(`${instance.backend} has ${disk.name}, on which nothing is any more`);
  }

  /** Notes that another disk is now at this path, or about to be. */
  onReplaced(path: string, bytes = this.#kernel.bytesAt(path)): void {
    for (const wanted of this.#wanted.values()) {
      if (wanted.paths.has(path) && bytes !== undefined) wanted.bytes.add(bytes);
    }
  }

  /** Checks that the program removes only its layers, and mapper devices that are to go. */
  onMapperRemoval({ name }: MappedDevice): void {
    if (name.startsWith('xenvbd-') || this.#going.has(`/dev/mapper/${name}`)) return;
    this.violate(`the program removes ${name}, which is not its own`);
  }

  /**
   * Notes that the administrator gives a mapper device another table, although somebody may have it
   * open. Two guests may have the same bytes then, which no program can prevent.
   */
  onDisturbed(device: MappedDevice): void {
    const open = [...(this.#blkback?.opens ?? [])].map(({ instance }) => instance);
    const instances = [...(this.#blkback?.instances.values() ?? [])];
    const before = this.#disturbed.get(device)?.instances ?? [];
    const all = new Set([...before, ...open, ...instances]);
    this.#disturbed.set(device, { time: this.#scheduler.now, instances: all });
  }

  #isDisturbed({ disk }: OpenDisk, ...instances: readonly Instance[]): boolean {
    const sets = mappersOf(disk).map((device) => this.#disturbed.get(device));
    return sets.some((set) => instances.every((instance) => set?.instances.has(instance)));
  }

  /** Checks the result of an add that has succeeded, in this process or in the daemon. */
  onAdded(backend: string, since: number, process?: object): void {
    if (process !== undefined) this.#checkTable(backend, process);
    const instance = this.#blkback?.instances.get(backend);
    if (instance !== undefined) this.#served.add(instance);
    const found = this.#opened.some(
      ({ instance, until }) => instance.backend === backend && until >= since,
    );
    if (!found)
      this.violate(`an add of ${backend} succeeded, and blkback has not opened its device`);
    this.#checkTold(backend);
  }

  /**
   * Checks that an add has not succeeded whose mapper device has got the bytes of another guest. An
   * add that has seen the table before must notice a new one that came before the driver's open, and
   * one that it has seen later.
   */
  #checkTable(backend: string, process: object): void {
    const open = this.#blkback?.instances.get(backend)?.open;
    if (open === undefined || !this.#isDisturbed(open, open.instance)) return;
    // An add that comes second finds what its guest has already.
    if (this.#served.has(open.instance)) return;
    const isKnown = mappersOf(open.disk).some((device) => {
      const seen = device.seen.get(process) ?? [];
      const { time = 0 } = this.#disturbed.get(device) ?? {};
      const isLate = time < open.since || seen.at(-1) === device.live;
      // It cannot tell a table that is exchanged and comes back.
      return isLate && seen.some((table) => table?.lower !== device.live?.lower);
    });
    if (!isKnown) return;
    for (const other of this.#blkback?.opens ?? []) {
      if (this.#meet(open, other) && !this.#isDisturbed(other, other.instance)) {
        this.violate(`an add of ${backend} succeeded with the bytes of ${other.instance.backend}`);
      }
    }
  }

  /** Tells whether blkback may be about to open the device that has a number. */
  isAwaited({ major, minor }: Devnum): boolean {
    const text = `${major.toString(16)}:${minor.toString(16)}`;
    return [...(this.#blkback?.instances.values() ?? [])].some(
      ({ backend, number }) =>
        (number !== undefined && number.major === major && number.minor === minor) ||
        this.#store.read(`${backend}/physical-device`) === text,
    );
  }

  /** Tells whether the target of a vbd names the device itself, by its path in /dev. */
  isTarget({ instance, disk }: OpenDisk): boolean {
    return this.#wanted.get(instance)?.paths.has(`/dev/${disk.name}`) ?? false;
  }

  /** Tells whether two guests have the same bytes, and one of them writes. */
  #meet(a: OpenDisk, b: OpenDisk): boolean {
    const bytes = bytesOf(a.disk);
    const others = bytesOf(b.disk);
    if (bytes === undefined || others === undefined || !haveCommonBytes(bytes, others))
      return false;
    if (a.instance.domid === b.instance.domid || this.kin?.mayShare(a, b)) return false;
    return a.writable || b.writable;
  }

  /**
   * Notes that the process of an add was killed. A stock blkback is then left with a number only.
   */
  onKilled(backend: string): void {
    const instance = this.#blkback?.instances.get(backend);
    if (instance !== undefined && instance.open === undefined) instance.isOrphan = true;
  }

  /** Notes that the daemon was killed, which may have published for every vbd. */
  onDaemonKilled(): void {
    for (const backend of this.#blkback?.instances.keys() ?? []) this.onKilled(backend);
  }

  /** Checks that XenStore and the kernel agree about an open device. */
  #checkTold(backend: string): void {
    const instance = this.#blkback?.instances.get(backend);
    if (instance?.isDeleted) return;
    const told = this.#store.read(`${backend}/physical-device`);
    const open = instance?.entry.physicalDevice;
    if (open === undefined || told === undefined || told === open) return;
    this.violate(`${backend} has ${open} open, and XenStore says ${told}`);
  }

  /** Checks the result of an add that has failed. */
  onFailed(backend: string): void {
    const instance = this.#blkback?.instances.get(backend);
    if (instance?.open === undefined || instance.isEnding || instance.isDeleted) return;
    if (this.#store.read(`${backend}/frontend`) === undefined) return;
    if (this.contradicted.has(backend)) return;
    if (this.#store.read(`${backend}/physical-device`) !== undefined) {
      this.#checkTold(backend);
      return;
    }
    this.violate(
      `an add of ${backend} failed, and XenStore names no device although blkback has one`,
    );
  }

  /** Returns the device that a vbd has when a remove of it begins. */
  lookAt(backend: string): { readonly backend: string; readonly open: OpenDisk | undefined } {
    const isThere = this.#store.read(`${backend}/frontend`) !== undefined;
    const opens = [...(this.#blkback?.opens ?? [])];
    // A predecessor under the same path may not have closed its device yet.
    const diskseq = this.#store.read(`${backend}/diskseq`);
    const open = opens.find(
      ({ instance, disk }) => instance.backend === backend && disk.diskseq.toString(16) === diskseq,
    );
    // If the guest has closed its end, blkback closes the device only when the nodes go.
    const isClosed = this.#store.read(`${backend}/state`) === '6' && open?.instance.entry.isThere;
    return { backend, open: isThere && !isClosed ? open : undefined };
  }

  /**
   * Checks after a successful remove that blkback has closed the vbd's device. Only loop devices and
   * mapper devices show whether they are open.
   */
  onRemoved({ backend, open }: ReturnType<Checks['lookAt']>): void {
    if (open === undefined || !this.#blkback?.opens.has(open)) return;
    if (open.disk.loop === undefined && open.disk.mapper === undefined) return;
    if (open.instance.isDeleted || this.contradicted.has(backend)) return;
    // The remove does not wait for a loop device that was there before.
    if (this.isTarget(open)) return;
    this.violate(`a remove of ${backend} succeeded, and blkback still has ${open.disk.name} open`);
  }

  /** Checks that a process that was not killed has removed the nodes that it has made in /dev. */
  onExit(process: object): void {
    for (const { path, owner } of this.#kernel.madeNodes.values()) {
      if (owner === process) this.violate(`${path} is left`);
    }
  }

  #checkBytes(): void {
    const opens = [...(this.#blkback?.opens ?? [])];
    for (const [index, open] of opens.entries()) {
      const { instance, disk } = open;
      const bytes = bytesOf(disk);
      if (bytes === undefined) continue;
      if (!this.#wanted.get(instance)?.bytes.has(bytes)) {
        this.violate(`${instance.backend} has ${disk.name}, which is ${bytes} and not its own`);
      }
      for (const other of opens.slice(index + 1)) {
        if (!this.#meet(open, other)) continue;
        const both = [instance, other.instance];
        if (this.#isDisturbed(open, ...both) || this.#isDisturbed(other, ...both)) continue;
        this.violate(`${instance.backend} and ${other.instance.backend} both have ${bytes}`);
      }
    }
  }

  /** Checks that no write has brought back a backend that is gone. */
  #checkRuin(path: string): void {
    if (!path.startsWith('backend/vbd/')) return;
    const backend = /^backend\/vbd\/[^/]+\/[^/]+(?=\/)/.exec(path)?.[0];
    if (backend === undefined) return;
    if (this.#store.read(path) === undefined) return;
    if (this.#store.read(`${backend}/frontend`) !== undefined) return;
    this.violate(`${path} was written although ${backend} was gone`);
  }

  /** Checks at the end that the program has left nothing behind. */
  checkQuiet(processes: readonly string[]): void {
    const mappers = [...(this.#kernel.mapper?.devices ?? [])];
    for (const disk of this.#kernel.disks.values()) {
      const { name, loop, opens } = disk;
      if (loop?.bound !== undefined) this.violate(`${name} is left, bound to ${loop.bound.path}`);
      const left = opens - mappers.filter(({ below }) => below.has(disk)).length;
      if (left !== 0) this.violate(`${name} is left open ${left} times`);
    }
    for (const { name, isDeferred } of mappers) {
      if (name.startsWith('xenvbd-') || isDeferred) this.violate(`mapper device ${name} is left`);
    }
    for (const path of this.#kernel.files.keys()) {
      if (/^\/run\/.*\.json/.test(path)) this.violate(`${path} is left`);
    }
    // A process that is killed between mknod and unlink leaves its node in /dev.
    if (this.#strict)
      for (const path of this.#kernel.madeNodes.keys()) this.violate(`${path} is left`);
    for (const name of processes) this.violate(`${name} still runs`);
    for (const path of this.#store.nodes.keys()) {
      if (/^\/local\/domain\/0\/backend\/vbd\/\d+\/\d+\//.test(path))
        this.violate(`${path} is left`);
    }
  }
}
