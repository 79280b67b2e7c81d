import { ERRNO } from '../util/errno.js';
import { type Devnum, formatDevnum } from './devnum.js';
import { callMapper } from './dm-control.js';
import {
  DM,
  DM_FLAG,
  type DmHeader,
  type DmReply,
  decodeNames,
  decodeTargets,
  encodeDmRequest,
  encodeTable,
  type RawTarget,
} from './dm-ioctl.js';
import { isSystemError, SystemError } from './errno.js';

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

/** Bytes for a table or a list of names, to begin with. */
const USUAL_REPLY = 4096;

/**
 * Reads state and table of a mapper device; `undefined` where there is none by that name, UUID or
 * number. Throws as `callMapper` does, and so do the others here.
 */
export async function readMapper(
  address: MapperAddress,
  signal?: AbortSignal,
): Promise<MapperState | undefined> {
  // Not flushed: a thin pool would write its metadata for it. Keys come with the table.
  const flags = DM_FLAG.statusTable | DM_FLAG.noFlush | DM_FLAG.secureData;
  try {
    return await callMapper({
      request: DM.tableStatus,
      object: describe(address),
      encode: (size) => encodeDmRequest({ ...address, flags }, size),
      decode: readState,
      dataSize: USUAL_REPLY,
      signal,
    });
  } catch (error) {
    // No device can be called what is too long for a name.
    if (isSystemError(error, 'ENXIO', 'ENAMETOOLONG')) return undefined;
    throw error;
  }
}

/** Names and numbers of all mapper devices, those without a table too. */
export function listMappers(signal?: AbortSignal): Promise<{ name: string; devnum: Devnum }[]> {
  return callMapper({
    request: DM.listDevices,
    object: 'all mapper devices',
    encode: (size) => encodeDmRequest({ flags: 0 }, size),
    decode: (_reply, buffer) => decodeNames(buffer),
    dataSize: USUAL_REPLY,
    signal,
  });
}

/** Makes a mapper device without a table: it has a number, but no disk yet. */
export function createMapper(name: string, uuid: string, signal?: AbortSignal): Promise<void> {
  return tell(DM.create, describe({ name }), { name, uuid, flags: 0 }, signal);
}

/** One target over the whole device; `params` ends with a NUL byte and is the caller's to wipe. */
export interface NewTable {
  readonly type: string;
  readonly sectors: bigint;
  readonly params: Buffer;
  readonly readOnly: boolean;
}

/** Loads a table into the inactive slot; from here on what lies below is claimed. */
export function loadMapperTable(
  name: string,
  { type, sectors, params, readOnly }: NewTable,
  signal?: AbortSignal,
): Promise<void> {
  const flags = DM_FLAG.secureData | (readOnly ? DM_FLAG.readOnly : 0);
  return callMapper({
    request: DM.load,
    object: describe({ name }),
    encode: () => encodeTable({ name, flags }, { start: 0n, length: sectors, type, params }),
    decode: () => undefined,
    signal,
  });
}

/**
 * Gives a mapper device of one target another size, and lets everything else be as it is, a key of
 * dm-crypt too. It may be in use.
 */
export async function resizeMapper(
  name: string,
  sectors: bigint,
  signal?: AbortSignal,
): Promise<void> {
  const flags = DM_FLAG.statusTable | DM_FLAG.noFlush | DM_FLAG.secureData;
  const table = await callMapper({
    request: DM.tableStatus,
    object: describe({ name }),
    encode: (size) => encodeDmRequest({ name, flags }, size),
    decode: copyTable,
    dataSize: USUAL_REPLY,
    signal,
  });
  if (table === undefined) throw SystemError.fromErrno('resize', describe({ name }), ERRNO.EINVAL);
  try {
    await loadMapperTable(name, { ...table, sectors }, signal);
  } finally {
    table.params.fill(0);
  }
  await resumeMapper(name, signal);
}

/** The table of a reply, if it is one line; its parameters are the caller's to wipe. */
function copyTable(reply: DmReply, buffer: Buffer): Omit<NewTable, 'sectors'> | undefined {
  const [target, ...more] = decodeTargets(buffer, reply.targetCount);
  if (target === undefined || more.length > 0) return undefined;
  const params = Buffer.alloc(target.params.length + 1);
  target.params.copy(params);
  return { type: target.type, params, readOnly: (reply.flags & DM_FLAG.readOnly) !== 0 };
}

/** Makes the loaded table the live one. */
export function resumeMapper(name: string, signal?: AbortSignal): Promise<void> {
  // Without the flag for it DM_DEV_SUSPEND resumes.
  const header = { name, flags: 0, udevFlags: UDEV_FLAGS };
  return tell(DM.suspend, describe({ name }), header, signal);
}

/**
 * Removes a mapper device. `deferred`: one that is open goes with its last close. Without it such a
 * device is left alone, with `EBUSY`.
 */
export function removeMapper(
  address: { readonly name: string } | { readonly devnum: Devnum },
  deferred: boolean,
  signal?: AbortSignal,
): Promise<void> {
  const flags = deferred ? DM_FLAG.deferredRemove : 0;
  const header = { ...address, flags, udevFlags: UDEV_FLAGS };
  return tell(DM.remove, describe(address), header, signal);
}

function tell(
  request: (typeof DM)[keyof typeof DM],
  object: string,
  header: DmHeader,
  signal: AbortSignal | undefined,
): Promise<void> {
  const encode = (size: number): Buffer => encodeDmRequest(header, size);
  return callMapper({ request, object, encode, decode: () => undefined, signal });
}

function describe(address: MapperAddress): string {
  if ('name' in address) return `mapper device ${address.name}`;
  if ('uuid' in address) return `mapper device with UUID ${address.uuid}`;
  return `mapper device ${formatDevnum(address.devnum)}`;
}

// libdevmapper.h, DM_UDEV_…: nobody is to look into a guest's disk (subsystem, disk and other rules), the
// node is udev's to make and not a library's, and the event is the first one of what it tells.
const UDEV_FLAGS = 0x02 | 0x04 | 0x08 | 0x20 | 0x40;

function readState(reply: DmReply, buffer: Buffer): MapperState {
  const has = (flag: number): boolean => (reply.flags & flag) !== 0;
  const live = has(DM_FLAG.activePresent);
  return {
    devnum: reply.devnum,
    name: reply.name,
    uuid: reply.uuid,
    openCount: reply.openCount,
    live,
    suspended: has(DM_FLAG.suspended) || has(DM_FLAG.internalSuspend),
    readOnly: has(DM_FLAG.readOnly),
    deferredRemove: has(DM_FLAG.deferredRemove),
    targets: live ? decodeTargets(buffer, reply.targetCount).map(readTarget) : [],
  };
}

/** dm-crypt shows its key among the parameters: it never becomes a string. */
function readTarget({ start, length, type, params }: RawTarget): MapperTarget {
  if (type !== 'crypt') return { start, length, type, params: params.toString('utf8') };
  const from = params.indexOf(' ') + 1;
  const to = params.indexOf(' ', from);
  const { createHash } = process.getBuiltinModule('node:crypto');
  const digest = createHash('sha256').update(params.subarray(from, to)).digest('hex');
  const text = `${params.toString('utf8', 0, from)}sha256:${digest}${params.toString('utf8', to)}`;
  return { start, length, type, params: text };
}
