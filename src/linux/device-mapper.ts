import { createHash } from 'node:crypto';
import { type Devnum, devnumFromStat, formatDevnum } from './devnum.js';
import { isSystemError } from './errno.js';
import { type MapperTask, type RawTarget, runTask, Task } from './libdevmapper.js';

/** One line of a mapper device's table. */
export interface MapperTarget {
  /** In sectors of 512 bytes, like `length`. */
  readonly start: bigint;
  readonly length: bigint;
  readonly type: string;
  /** A key of dm-crypt is replaced by a digest of it. */
  readonly params: string;
}

/** What device-mapper says of a device, all of it from one request. */
export interface MapperState {
  readonly devnum: Devnum;
  /** As the kernel has it; names with unusual characters may be mangled. */
  readonly name: string;
  /** Empty where it has none. */
  readonly uuid: string;
  readonly openCount: number;
  /** Whether there is a live table. */
  readonly live: boolean;
  readonly suspended: boolean;
  readonly readOnly: boolean;
  /** Goes with its last close. */
  readonly deferredRemove: boolean;
  readonly targets: readonly MapperTarget[];
}

/** How a mapper device is addressed. */
export type MapperAddress =
  | { readonly name: string }
  | { readonly uuid: string }
  | { readonly devnum: Devnum };

/**
 * Reads state and table of a mapper device; `undefined` where there is none by that name, UUID or
 * number. Throws `SystemError`: `ENODEV` without device-mapper, `EACCES` without the privilege.
 */
export async function readMapper(address: MapperAddress): Promise<MapperState | undefined> {
  try {
    return await runTask(
      Task.table,
      describe(address),
      (task) => {
        setAddress(task, address);
        // Keys come with the table: the library wipes its copies.
        task.set('setSecure');
      },
      readState,
    );
  } catch (error) {
    if (isSystemError(error, 'ENXIO')) return undefined;
    throw error;
  }
}

/** Names and numbers of all mapper devices, those without a table too. */
export function listMappers(): Promise<{ name: string; devnum: Devnum }[]> {
  return runTask(
    Task.list,
    'all devices',
    () => undefined,
    (task) => task.names().map(({ dev, name }) => ({ name, devnum: devnumFromStat(dev) })),
  );
}

/** Makes a mapper device without a table: it has a number, but no disk yet. */
export function createMapper(name: string, uuid: string): Promise<void> {
  return runTask(
    Task.create,
    name,
    (task) => {
      task.set('setName', name);
      task.set('setUuid', uuid);
      setUdevFlags(task);
    },
    () => undefined,
  );
}

/** One target over the whole device; `params` ends with a NUL byte and is the caller's to wipe. */
export interface NewTable {
  readonly type: string;
  readonly sectors: bigint;
  readonly params: Buffer;
  readonly readOnly: boolean;
}

/** Loads a table into the inactive slot; from here on what lies below is claimed. */
export function loadMapperTable(name: string, table: NewTable): Promise<void> {
  return runTask(
    Task.load,
    name,
    (task) => {
      task.set('setName', name);
      task.set('setSecure');
      if (table.readOnly) task.set('setReadOnly');
      task.set('addTarget', 0n, table.sectors, table.type, table.params);
    },
    () => undefined,
  );
}

/** Makes the loaded table the live one. */
export function resumeMapper(name: string): Promise<void> {
  return runTask(
    Task.resume,
    name,
    (task) => {
      task.set('setName', name);
      setUdevFlags(task);
    },
    () => undefined,
  );
}

/**
 * Removes a mapper device. `deferred`: one that is open goes with its last close. Without it such a
 * device is left alone, with `EBUSY`.
 */
export function removeMapper(
  address: { readonly name: string } | { readonly devnum: Devnum },
  deferred: boolean,
): Promise<void> {
  return runTask(
    Task.remove,
    describe(address),
    (task) => {
      setAddress(task, address);
      if (deferred) task.set('setDeferred');
      setUdevFlags(task);
    },
    () => undefined,
  );
}

function describe(address: MapperAddress): string {
  if ('name' in address) return `mapper device ${address.name}`;
  if ('uuid' in address) return `mapper device with UUID ${address.uuid}`;
  return `mapper device ${formatDevnum(address.devnum)}`;
}

function setAddress(task: MapperTask, address: MapperAddress): void {
  if ('name' in address) task.set('setName', address.name);
  else if ('uuid' in address) task.set('setUuid', address.uuid);
  else task.set('setDevnum', address.devnum.major, address.devnum.minor, 0);
}

// libdevmapper.h, DM_UDEV_…: nobody is to look into a guest's disk (subsystem, disk and other rules),
// and the node is udev's to make, not the library's.
const UDEV_FLAGS = 0x02 | 0x04 | 0x08 | 0x20;

function setUdevFlags(task: MapperTask): void {
  task.set('setCookie', Buffer.alloc(4), UDEV_FLAGS);
}

/** struct dm_info of libdevmapper.h: twelve words of 32 bits. */
function readState(task: MapperTask): MapperState {
  const info = Buffer.alloc(48);
  task.set('info', info);
  const word = (index: number): number => info.readUInt32LE(4 * index);
  return {
    devnum: { major: word(6), minor: word(7) },
    name: String(task.call('name') ?? ''),
    uuid: String(task.call('uuid') ?? ''),
    openCount: info.readInt32LE(16),
    live: word(2) !== 0,
    suspended: word(1) !== 0 || word(11) !== 0,
    readOnly: word(8) !== 0,
    deferredRemove: word(10) !== 0,
    targets: word(2) !== 0 ? task.targets().map(readTarget) : [],
  };
}

/** dm-crypt shows its key among the parameters: it never becomes a string. */
function readTarget({ start, length, type, params }: RawTarget): MapperTarget {
  if (type !== 'crypt') return { start, length, type, params: params.toString('utf8') };
  const from = params.indexOf(' ') + 1;
  const to = params.indexOf(' ', from);
  const digest = createHash('sha256').update(params.subarray(from, to)).digest('hex');
  const text = `${params.toString('utf8', 0, from)}sha256:${digest}${params.toString('utf8', to)}`;
  params.fill(0);
  return { start, length, type, params: text };
}
