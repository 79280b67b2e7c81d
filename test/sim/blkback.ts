import type { Kernel } from './kernel/kernel.js';
import { type Disk, LO_AUTOCLEAR, type VbdEntry } from './kernel/nodes.js';
import type { Scheduler } from './scheduler.js';
import type { SimulatedStore } from './store.js';

/** One instance of a vbd in blkback. A path may have many instances, one after another. */
export interface Instance {
  readonly backend: string;
  readonly domid: number;
  readonly entry: VbdEntry;
  /** The device number and diskseq from XenStore of the device that blkback is about to open. */
  number: { readonly major: number; readonly minor: number; readonly diskseq: string } | undefined;
  isOpening: boolean;
  isEnding: boolean;
  isClosing: boolean;
  /** The guest has made the driver report an error, which closes nothing. */
  isFaulty: boolean;
  open: OpenDisk | undefined;
  /** The process that published the device was killed before blkback had opened the device. */
  isOrphan: boolean;
  /** XenStore no longer named the device when blkback opened it. */
  isGhost: boolean;
  /** The toolstack has deleted the nodes, and may have made them anew since. */
  isDeleted: boolean;
  /** Called at the end of an open. */
  onOpened: () => void;
}

/** A device that blkback has open and has not really closed yet. */
export interface OpenDisk {
  readonly instance: Instance;
  readonly disk: Disk;
  readonly writable: boolean;
  readonly since: number;
  /** When blkback has closed it. */
  until: number;
}

/** The listener through which blkback informs the checks. */
export interface BlkbackListener {
  onInstance(instance: Instance): void;
  onOpen(open: OpenDisk): void;
  isTarget(open: OpenDisk): boolean;
}

/** A kind of blkback: `key` compares the diskseq and writes `opened`, and `stock` does neither. */
export type Guise = 'stock' | 'key';

/** A simulated xen-blkback. */
export class Blkback {
  /** All open devices, also those of instances that are gone. */
  readonly opens = new Set<OpenDisk>();
  readonly instances = new Map<string, Instance>();
  readonly guise: Guise;
  readonly #scheduler: Scheduler;
  readonly #kernel: Kernel;
  readonly #store: SimulatedStore;
  readonly #listener: BlkbackListener;
  readonly #due = new Set<string>();
  /** Makes all delays short. */
  isPrompt = false;
  /** The percentages of delays that are long, and of guests that write a state that there is not. */
  readonly #mix: { readonly slow: number; readonly faulty: number };

  constructor(
    world: { scheduler: Scheduler; kernel: Kernel; store: SimulatedStore },
    guise: Guise,
    listener: BlkbackListener,
    mix: { readonly slow: number; readonly faulty: number },
  ) {
    this.#scheduler = world.scheduler;
    this.#kernel = world.kernel;
    this.#store = world.store;
    this.#listener = listener;
    this.guise = guise;
    this.#mix = mix;
    this.#store.onChange((path) => {
      const [root, kind, domid, devid] = path.split('/');
      if (root !== 'backend' || kind !== 'vbd' || devid === undefined) return;
      const backend = `${root}/${kind}/${domid}/${devid}`;
      const instance = this.instances.get(backend);
      if (instance && this.#node(backend, 'frontend') === undefined) instance.isDeleted = true;
      if (instance && path === `${backend}/physical-device`) this.#mayFail(instance);
      this.#lookLater(backend);
    });
  }

  /** Looks at a vbd soon, once for all nodes that change at the same time. */
  #lookLater(backend: string): void {
    if (this.#due.has(backend)) return;
    this.#due.add(backend);
    queueMicrotask(() => {
      this.#due.delete(backend);
      this.#scheduler.after(this.#delay(200), () => this.#look(backend));
    });
  }

  /** Returns a delay in milliseconds: mostly none, sometimes a short one, seldom a long one. */
  #delay(longest: number): number {
    const { random } = this.#scheduler;
    const share = random.below(100);
    if (this.isPrompt || share >= this.#mix.slow) return random.fraction() * 0.5;
    return random.fraction() * (random.percent(75) ? longest / 20 : longest);
  }

  #node(backend: string, name: string): string | undefined {
    return this.#store.read(`${backend}/${name}`);
  }

  /** Writes a node, except below a backend that is gone, as the driver does. */
  #write(backend: string, name: string, value: string): void {
    if (this.#node(backend, 'frontend') === undefined) return;
    this.#writeWithinQuota(`${backend}/${name}`, value);
  }

  /** Writes a node. The driver goes on without one that the quota of nodes does not permit. */
  #writeWithinQuota(path: string, value: string): void {
    if (this.#store.read(path) === undefined && this.#store.quotas?.isUsedUp('nodes')) return;
    this.#store.write('blkback', { [path]: value });
  }

  #look(backend: string): void {
    const exists = this.#node(backend, 'frontend') !== undefined;
    const instance = this.instances.get(backend);
    if (instance === undefined) {
      // A backend in another state is not new (xenbus_probe.c, xenbus_probe_node).
      if (exists && this.#node(backend, 'state') === '1') this.#probe(backend);
    } else if (!exists) {
      this.#end(instance, this.#delay(5000));
    } else {
      if (this.#node(backend, 'state') === '5' && !instance.isFaulty) this.#close(instance);
      this.#readNumber(instance);
    }
  }

  /**
   * Reports an error of the guest just before the driver hears of a publication (xenbus.c,
   * frontend_changed). The driver opens the device all the same.
   */
  #mayFail(instance: Instance): void {
    const { faulty } = this.#mix;
    if (faulty === 0 || this.isPrompt || !this.#scheduler.random.percent(faulty)) return;
    const { backend } = instance;
    // One thread hears the guest, and opens and ends.
    if (instance.isOpening || instance.isEnding || instance.isClosing) return;
    if (this.#node(backend, 'physical-device') === undefined) return;
    instance.isFaulty = true;
    this.#writeWithinQuota(`error/${backend}/error`, '22 saw state 9 at frontend');
    this.#write(backend, 'state', '5');
  }

  #probe(backend: string): void {
    const [, , domid = '', devid = ''] = backend.split('/');
    const name = `vbd-${domid}-${devid}`;
    const entry: VbdEntry = {
      ...{ kind: 'vbd', name, ino: this.#kernel.nextIno(), isThere: true },
      ...{ physicalDevice: undefined, mode: undefined },
    };
    this.#kernel.vbds.set(name, entry);
    const instance: Instance = {
      ...{ backend, domid: Number(domid), entry, number: undefined, isOpening: false },
      ...{
        isEnding: false,
        isClosing: false,
        isFaulty: false,
        open: undefined,
        isOrphan: false,
        isGhost: false,
        isDeleted: false,
        onOpened: () => undefined,
      },
    };
    this.instances.set(backend, instance);
    this.#listener.onInstance(instance);
    this.#write(backend, 'feature-max-indirect-segments', '256');
    this.#scheduler.after(this.#delay(3000), () => {
      if (instance.isEnding) return;
      if (this.guise === 'key') this.#write(backend, 'opened', '0');
      this.#write(backend, 'state', '2');
    });
  }

  #readNumber(instance: Instance): void {
    if (instance.number !== undefined || instance.isEnding || instance.isClosing) return;
    const text = this.#node(instance.backend, 'physical-device') ?? '';
    const [, major, minor] = /^([0-9a-f]+):([0-9a-f]+)$/.exec(text) ?? [];
    if (major === undefined || minor === undefined) return;
    const diskseq = this.#node(instance.backend, 'diskseq') ?? '';
    const mode = this.#node(instance.backend, 'mode') ?? '';
    const [high, low] = [major, minor].map((hex) => Number.parseInt(hex, 16));
    instance.number = { major: high ?? 0, minor: low ?? 0, diskseq };
    instance.isOpening = true;
    this.#scheduler.after(this.#delay(40_000), () => this.#open(instance, mode));
  }

  #open(instance: Instance, mode: string): void {
    const { backend, number, entry } = instance;
    instance.isOpening = false;
    instance.onOpened();
    const disk = number && this.#kernel.findDisk(number);
    const isRight = this.guise === 'stock' || disk?.diskseq.toString(16) === number?.diskseq;
    if (disk === undefined || !isRight) {
      this.#scheduler.tell(
        'blkback',
        () => `cannot open ${number?.major}:${number?.minor} for ${backend}`,
      );
      instance.number = undefined;
      instance.isClosing = true;
      this.#writeWithinQuota(`error/${backend}/error`, '6 creating vbd structure');
      this.#write(backend, 'state', '5');
      return;
    }
    this.#kernel.openDisk(disk);
    instance.isGhost = this.#node(backend, 'physical-device') === undefined;
    const open = {
      ...{ instance, disk, writable: mode.includes('w') },
      ...{ since: this.#scheduler.now, until: Number.POSITIVE_INFINITY },
    };
    instance.open = open;
    this.opens.add(open);
    this.#scheduler.tell('blkback', () => `opens ${disk.name} for ${backend}`);
    entry.physicalDevice = `${number?.major.toString(16)}:${number?.minor.toString(16)}`;
    this.#scheduler.soon(() => {
      entry.mode = mode;
      if (this.guise === 'key') this.#write(backend, 'opened', '1');
    });
    this.#listener.onOpen(open);
    this.#scheduler.after(this.#delay(500), () => {
      if (this.#node(backend, 'state') === '2') this.#write(backend, 'state', '4');
    });
  }

  /** Handles the toolstack's request to close. The guest must close first, and may never do so. */
  #close(instance: Instance): void {
    if (instance.isClosing || instance.isEnding) return;
    instance.isClosing = true;
    if (!this.isPrompt && this.#scheduler.random.percent(10)) return;
    this.#scheduler.after(this.#delay(8000), () => {
      if (instance.isEnding) return;
      this.#write(instance.backend, 'state', '6');
      if (this.#node(instance.backend, 'online') !== '1') this.#end(instance, this.#delay(1000));
    });
  }

  /** Ends an instance: removes the entry in sysfs, and then closes (xenbus.c, xen_blkbk_remove). */
  #end(instance: Instance, ms: number): void {
    if (instance.isEnding) return;
    instance.isEnding = true;
    const end = (): void => {
      if (instance.isOpening) {
        // One thread opens the device and ends the instance, so the end waits for the open.
        instance.onOpened = () => this.#scheduler.soon(end);
        return;
      }
      const { entry, open, backend } = instance;
      entry.isThere = false;
      entry.physicalDevice = undefined;
      this.#kernel.vbds.delete(entry.name);
      this.instances.delete(backend);
      this.#scheduler.tell('blkback', () => `ends ${backend}`);
      // A new instance may have been made under the same path meanwhile.
      this.#scheduler.soon(() => this.#look(backend));
      if (open === undefined) return;
      // Between the two steps, nothing shows that a disk is open, except for the program's autoclear
      // loop devices, and mapper devices. An open of its own hides the open of an administrator's loop
      // device. The program cannot know it, so the close comes at once, as in the driver.
      const { loop, mapper } = open.disk;
      const isAutoclear = ((loop?.bound?.flags ?? 0) & LO_AUTOCLEAR) !== 0;
      const tells = mapper !== undefined || (isAutoclear && !this.#listener.isTarget(open));
      this.#scheduler.after(tells ? this.#delay(2000) : 0, () => {
        this.#scheduler.tell('blkback', () => `closes ${open.disk.name}, of ${backend}`);
        this.opens.delete(open);
        open.until = this.#scheduler.now;
        this.#kernel.closeDisk(open.disk, false);
      });
    };
    this.#scheduler.after(ms, end);
  }
}
