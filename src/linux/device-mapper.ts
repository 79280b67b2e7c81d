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
} from './dm-ioctl.js';
import { isSystemError, SystemError } from './errno.js';
import { type MapperState, readState } from './mapper-state.js';

/** The name, UUID or number of a mapper device. */
export type MapperAddress =
  | { readonly name: string }
  | { readonly uuid: string }
  | { readonly devnum: Devnum };

/** Room for a table or a list of names in the first attempt; bytes. */
const USUAL_REPLY = 4096;

/**
 * Reads the state and the table of a mapper device. Returns `undefined` if there is no device with
 * that name, UUID or number. Throws as `callMapper` does, like all functions here.
 */
export async function readMapper(
  address: MapperAddress,
  signal?: AbortSignal,
): Promise<MapperState | undefined> {
  // Without noFlush a thin pool would write its metadata. The table comes with its keys.
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
    // A name that is too long belongs to no device.
    if (isSystemError(error, 'ENXIO', 'ENAMETOOLONG')) return undefined;
    throw error;
  }
}

/** Lists names and numbers of all mapper devices, including those without a table. */
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

/**
 * Makes a mapper device without a table. Returns its number. The device has no disk yet, but nobody
 * else gets the number. A device that is made after `signal` was aborted is removed again.
 */
export function createMapper(name: string, uuid: string, signal?: AbortSignal): Promise<Devnum> {
  return callMapper({
    request: DM.create,
    object: describe({ name }),
    encode: (size) => encodeDmRequest({ name, uuid, flags: 0 }, size),
    decode: ({ devnum }) => devnum,
    signal,
    onAbandonedSuccess: () => void removeMapper({ name }, false).catch(() => undefined),
  });
}

/** A table with one target over the whole device. `params` ends with a NUL; the caller wipes it. */
export interface NewTable {
  readonly type: string;
  readonly sectors: bigint;
  readonly params: Buffer;
  readonly readOnly: boolean;
}

/** Loads a table into the inactive slot. This claims the devices below. */
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
 * Changes the size of a mapper device with one target, which may be in use. Everything else stays,
 * including a dm-crypt key. Throws `SystemError` with `EINVAL` unless the table has one line.
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

/** Copies the table of a reply if it has one line. The caller must wipe its parameters. */
function copyTable(reply: DmReply, buffer: Buffer): Omit<NewTable, 'sectors'> | undefined {
  const [target, ...more] = decodeTargets(buffer, reply.targetCount);
  if (target === undefined || more.length > 0) return undefined;
  const params = Buffer.alloc(target.params.length + 1);
  target.params.copy(params);
  return { type: target.type, params, readOnly: (reply.flags & DM_FLAG.readOnly) !== 0 };
}

/** Makes the loaded table the live one. */
export function resumeMapper(name: string, signal?: AbortSignal): Promise<void> {
  // DM_DEV_SUSPEND without the flag for suspending resumes the device.
  const header = { name, flags: 0, udevFlags: UDEV_FLAGS };
  return tell(DM.suspend, describe({ name }), header, signal);
}

/**
 * Removes a mapper device. With `deferred`, the last close removes a device that is open. Without
 * it an open device stays, and the call throws `SystemError` with the code `EBUSY`.
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

// libdevmapper.h, DM_UDEV_…: nothing may look into a guest's disk (subsystem, disk and other
// rules), udev and not a library makes the node, and the event is the primary source of its news.
const UDEV_FLAGS = 0x02 | 0x04 | 0x08 | 0x20 | 0x40;
