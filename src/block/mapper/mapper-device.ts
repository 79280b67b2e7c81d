import { errorCode } from '../../errors.js';
import { type MapperAddress, readMapper } from '../../linux/device-mapper.js';
import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../../linux/devnum.js';
import type { OwnedFd } from '../../linux/fd.js';
import { isBlockDevice, statPath } from '../../linux/file-stat.js';
import type { MapperState } from '../../linux/mapper-state.js';
import { lookUpBlock } from '../../linux/sysfs.js';
import { poll } from '../../util/poll.js';
import { BlockError } from '../block-error.js';
import { pinNode } from '../locate-disk.js';
import { type ExpectedName, mangle, sameMapperName } from './mapper-name.js';

/** A mapper device that is named by its name or its UUID. */
export type MapperLocator = { readonly dmName: string } | { readonly dmUuid: string };

/** Returns the spelling of a locator in a target. */
export function describeLocator(locator: MapperLocator): string {
  return 'dmName' in locator ? `dm-name=${locator.dmName}` : `dm-uuid=${locator.dmUuid}`;
}

/** Returns the name or UUID that the mapper device behind a locator must have. */
export function expectedNameOfLocator(locator: MapperLocator): ExpectedName {
  const by = describeLocator(locator);
  return 'dmName' in locator ? { name: locator.dmName, by } : { uuid: locator.dmUuid, by };
}

/**
 * Finds a mapper device by asking device-mapper, and pins its device node. The caller must still
 * compare the device that it opens with the expected name. Throws `BlockError` with the code `ENOENT` if
 * there is no such mapper device, and with the code `ENOTABLE` if the mapper device has no disk.
 */
export async function pinMapper(locator: MapperLocator, signal?: AbortSignal): Promise<OwnedFd> {
  const state = await findMapper(locator, signal);
  if (state === undefined) {
    throw new BlockError(`there is no mapper device with ${describeLocator(locator)}`, {
      code: 'ENOENT',
    });
  }
  const block = lookUpBlock(state.devnum);
  if (block === undefined) throw noTable(state);
  return await pinNode(block.directory, signal);
}

/**
 * Returns the addresses under which the kernel may know a mapper device: the name or UUID as it is,
 * and as libdevmapper would have written it. Mangling makes names longer. The kernel has room for
 * names of 127 bytes and for UUIDs of 128 bytes (linux/dm-ioctl.h, DM_NAME_LEN and DM_UUID_LEN).
 * Pure.
 */
export function spellingsOf(locator: MapperLocator): MapperAddress[] {
  return 'dmName' in locator
    ? spell(locator.dmName, 127).map((name) => ({ name }))
    : spell(locator.dmUuid, 128).map((uuid) => ({ uuid }));
}

function spell(text: string, room: number): string[] {
  return [...new Set([text, mangle(text)])].filter((one) => Buffer.byteLength(one) <= room);
}

async function findMapper(
  locator: MapperLocator,
  signal: AbortSignal | undefined,
): Promise<MapperState | undefined> {
  for (const address of spellingsOf(locator)) {
    const state = await readMapper(address, signal);
    if (state !== undefined) return state;
  }
  return undefined;
}

/**
 * Throws `BlockError` with the code `EIDENTITY` unless the mapper device has the expected name or
 * UUID.
 */
export function checkName(state: MapperState, expected: ExpectedName): void {
  const refuse = (what: string, wanted: string, found: string): BlockError =>
    new BlockError(
      `${expected.by} leads to another mapper device than it says: ${what} ${wanted} was expected, device ${formatDevnum(state.devnum)} has ${found || 'none'}`,
      { code: 'EIDENTITY' },
    );
  if (expected.name !== undefined && !sameMapperName(expected.name, state.name)) {
    throw refuse('name', expected.name, state.name);
  }
  if (expected.uuid !== undefined && !sameMapperName(expected.uuid, state.uuid)) {
    throw refuse('UUID', expected.uuid, state.uuid);
  }
}

/**
 * Throws `BlockError` with the code `EGOING` for a mapper device that is marked for deferred
 * removal.
 */
export function checkStaying(state: MapperState): void {
  if (!state.deferredRemove) return;
  throw new BlockError(
    `mapper device ${state.name} is marked for deferred removal: it goes away as soon as whoever has it open closes it`,
    { code: 'EGOING' },
  );
}

/** Returns the error for a mapper device without a live table. */
export function noTable(state: MapperState): BlockError {
  return new BlockError(
    `mapper device ${state.name} has no live table: it has to be set up and resumed first`,
    { code: 'ENOTABLE' },
  );
}

/**
 * Waits until a mapper device is not suspended. The caller keeps the device open. A mapper device
 * is suspended for a moment while a snapshot is made or its table is exchanged. The kernel sends no
 * event at the end, so the state is polled.
 *
 * If `signal` is aborted first, throws `BlockError` with the code `ESUSPENDED`. If the reason of
 * `signal` has the code `ECANCELED`, throws that reason instead.
 */
export async function waitResumed(
  devnum: Devnum,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    await poll(signal, async () => {
      const state = await readMapper({ devnum }, signal);
      return state?.suspended ? undefined : true;
    });
  } catch (error) {
    if (!signal.aborted || errorCode(signal.reason) === 'ECANCELED') throw error;
    throw new BlockError(
      `mapper device ${name} is suspended and was not resumed in time (dmsetup resume, or wait for the snapshot or resize to finish)`,
      { code: 'ESUSPENDED', cause: error },
    );
  }
}

/**
 * Returns the path in /dev/mapper by which people and QEMU know a mapper device. Returns `fallback`
 * if that path does not lead to the device now.
 */
export async function mapperPath(state: MapperState, fallback: string): Promise<string> {
  const path = `/dev/mapper/${mangle(state.name)}`;
  const found = await statPath(path).catch(() => undefined);
  const same =
    found && isBlockDevice(found) && sameDevnum(devnumFromStat(found.rdev), state.devnum);
  return same ? path : fallback;
}
