import type { Devnum } from '../../../src/linux/devnum.js';
import { EBUSY, EINVAL, ENXIO, Errno, type Kernel } from './kernel.js';
import type { Disk, MappedDevice, Table } from './nodes.js';

/** The major number of all mapper devices. */
export const MAPPER_MAJOR = 253;

/** The way in which a request names a mapper device. */
export type MapperName =
  | { readonly name: string }
  | { readonly uuid: string }
  | { readonly devnum: Devnum };

/** What happens around the module. */
export interface MapperSurroundings {
  /** Runs a function a little later, as a work queue of the kernel does. */
  readonly later: (run: () => void) => void;
  /** Runs a function later, as udev does, which may be busy. */
  readonly udev: (run: () => void) => void;
}

/** The claimant of all devices below tables: tables share their claims (dm.c, _dm_claim_ptr). */
const CLAIM_OF_TABLES = {};

/** The simulated device-mapper (drivers/md/dm.c and dm-ioctl.c). */
export class DeviceMapper {
  readonly devices = new Set<MappedDevice>();
  /** The links in /dev/mapper, which udev makes and removes later than the kernel its devices. */
  readonly links = new Map<string, string>();
  readonly #kernel: Kernel;
  readonly #surroundings: MapperSurroundings;

  constructor(kernel: Kernel, surroundings: MapperSurroundings) {
    this.#kernel = kernel;
    this.#surroundings = surroundings;
  }

  find(wanted: MapperName): MappedDevice | undefined {
    for (const device of this.devices) {
      if ('name' in wanted ? device.name === wanted.name : isOther(device, wanted)) return device;
    }
    return undefined;
  }

  /** Finds a device. Throws `ENXIO` if there is none. */
  require(wanted: MapperName): MappedDevice {
    const device = this.find(wanted);
    if (device === undefined) throw new Errno(ENXIO);
    return device;
  }

  /** Returns the number that the next device gets. The numbers of removed devices are used again. */
  get nextMinor(): number {
    const taken = new Set([...this.devices].map(({ devnum }) => devnum.minor));
    let minor = 0;
    while (taken.has(minor)) minor++;
    return minor;
  }

  /** Does the work of DM_DEV_CREATE. The device has no disk yet. */
  create(name: string, uuid: string): MappedDevice {
    if (this.find({ name }) || (uuid !== '' && this.find({ uuid }))) throw new Errno(EBUSY);
    const device: MappedDevice = {
      ...{ devnum: { major: MAPPER_MAJOR, minor: this.nextMinor }, name, uuid, disk: undefined },
      ...{ live: undefined, inactive: undefined, isSuspended: false, isDeferred: false },
      ...{ below: new Map(), seen: new Map() },
    };
    this.devices.add(device);
    return device;
  }

  /** Does the work of DM_TABLE_LOAD. The table claims the device below, also before it is used. */
  load(device: MappedDevice, line: Omit<Table, 'lower'>, lower: Disk | undefined): void {
    if (lower === undefined) throw new Errno(ENXIO);
    if (lower === device.disk || line.length * 512n > lower.size) throw new Errno(EINVAL);
    if (!device.below.has(lower)) this.#kernel.openDisk(lower, CLAIM_OF_TABLES);
    device.below.set(lower, (device.below.get(lower) ?? 0) + 1);
    device.disk ??= this.#addDisk(device);
    const before = device.inactive;
    device.inactive = { ...line, lower };
    this.#release(device, before);
  }

  /** Does the work of DM_DEV_SUSPEND with the flag for suspending. */
  suspend(device: MappedDevice): void {
    device.isSuspended = true;
  }

  /** Does the work of DM_DEV_SUSPEND without that flag: a loaded table becomes the live one. */
  resume(device: MappedDevice): void {
    const { disk, live, inactive } = device;
    if (inactive !== undefined && disk !== undefined) {
      device.live = inactive;
      device.inactive = undefined;
      disk.size = inactive.length * 512n;
      disk.readOnly = inactive.readOnly;
      this.#release(device, live);
      this.#kernel.onBytes(disk);
    }
    device.isSuspended = false;
    // The event at the end of a resume (dm.c, dm_kobject_uevent) makes udev set the link.
    if (disk !== undefined) {
      this.#kernel.uevents?.tell('change', disk);
      this.#kernel.onChange(disk);
    }
    this.#surroundings.udev(() => {
      if (this.devices.has(device) && disk !== undefined) this.links.set(device.name, disk.name);
    });
  }

  /**
   * Does the work of DM_DEV_REMOVE. An open device stays, and goes with its last close if the
   * removal is deferred.
   */
  remove(device: MappedDevice, isDeferred: boolean): void {
    if (device.disk === undefined || device.disk.opens === 0) {
      this.#destroy(device);
    } else {
      if (!isDeferred) throw new Errno(EBUSY);
      device.isDeferred = true;
    }
  }

  /** Does the work of dm_blk_close. The removal comes later, and whoever opens it before keeps it. */
  onLastClose(device: MappedDevice): void {
    if (!device.isDeferred) return;
    this.#surroundings.later(() => {
      if (this.devices.has(device) && device.disk?.opens === 0) this.#destroy(device);
    });
  }

  #addDisk(device: MappedDevice): Disk {
    const name = `dm-${device.devnum.minor}`;
    const disk: Disk = {
      ...{ devnum: device.devnum, name, directory: `/sys/devices/virtual/block/${name}` },
      ...{ diskseq: this.#kernel.nextDiskseq(), size: 0n, readOnly: false, opens: 0 },
      ...{
        claimant: undefined,
        claims: 0,
        bytes: '',
        loop: undefined,
        mapper: device,
        partition: undefined,
      },
    };
    this.#kernel.addToSysfs(disk);
    return disk;
  }

  #destroy(device: MappedDevice): void {
    const { disk, name, live, inactive } = device;
    this.devices.delete(device);
    if (disk !== undefined) this.#kernel.removeFromSysfs(disk);
    this.#release(device, inactive);
    this.#release(device, live);
    this.#surroundings.udev(() => {
      if (this.find({ name }) === undefined) this.links.delete(name);
    });
  }

  /** Closes the device below a table, unless another table of the same device has it as well. */
  #release(device: MappedDevice, table: Table | undefined): void {
    if (table === undefined) return;
    const { lower } = table;
    const left = (device.below.get(lower) ?? 0) - 1;
    if (left > 0) {
      device.below.set(lower, left);
      return;
    }
    device.below.delete(lower);
    this.#kernel.closeDisk(lower, true);
  }
}

function isOther(
  device: MappedDevice,
  wanted: { readonly uuid: string } | { readonly devnum: Devnum },
): boolean {
  if ('uuid' in wanted) return device.uuid === wanted.uuid;
  const { major, minor } = wanted.devnum;
  return device.devnum.major === major && device.devnum.minor === minor;
}
