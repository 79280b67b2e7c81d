import { errorCode } from '../../errors.js';
import {
  listMappers,
  type MapperState,
  readMapper,
  removeMapper,
} from '../../linux/device-mapper.js';
import { type Devnum, parseDevnum } from '../../linux/devnum.js';
import { isSystemError } from '../../linux/errno.js';
import { isInMemory } from '../../linux/memory-file.js';
import { poll } from '../../util/poll.js';
import { BlockError, STILL_OPEN } from '../block-error.js';
import { listHolders } from '../holders.js';

/** How long a layer that nobody has open may take to go; milliseconds. */
const DISCARD_MS = 2000;
/** Where sysfs shows device-mapper: without it there can be no layer. */
const MAPPER_MISC = '/sys/class/misc/device-mapper';

/** The name of a layer; `id` is frontend, device number and a random part. */
export function layerName(id: string): string {
  return `xenvbd-${id}`;
}

/** Its UUID. */
export function layerUuid(id: string): string {
  return `XENVBD-${id}`;
}

/** Whether a mapper device is a layer that was made for `owner`, e.g. `7-51712`. */
export function isLayerOf({ name, uuid }: MapperState, owner: string): boolean {
  return name.startsWith(layerName(`${owner}-`)) && uuid.startsWith(layerUuid(`${owner}-`));
}

/** The device below a layer, as its table says. */
export function layerBase({ targets }: MapperState): Devnum | undefined {
  const fields = targets[0]?.params.split(' ') ?? [];
  const device = targets[0]?.type === 'crypt' ? fields[3] : fields[0];
  return device === undefined ? undefined : parseDevnum(device);
}

/** All layers of an owner; of every owner where none is given. */
export async function listLayers(owner?: string, signal?: AbortSignal): Promise<MapperState[]> {
  if (!isInMemory(MAPPER_MISC)) return [];
  const prefix = layerName(owner === undefined ? '' : `${owner}-`);
  const names = (await listMappers(signal)).filter(({ name }) => name.startsWith(prefix));
  const states = await Promise.all(names.map(({ name }) => readMapper({ name }, signal)));
  return states.filter((state) => state !== undefined);
}

/** Owners of layers that nobody has open: they were left behind, or are being made right now. */
export async function listIdleLayerOwners(): Promise<string[]> {
  const idle = (await listLayers()).filter(({ openCount }) => openCount === 0);
  return idle.flatMap(({ name }) => /^xenvbd-(\d+-\d+)-/.exec(name)?.[1] ?? []);
}

/**
 * Removes a layer that was not handed over, and waits until it is gone, as far as nobody else has it
 * open: then it goes with the last close. Never rejects: there is an error to be told already.
 */
export async function discardLayer(name: string): Promise<void> {
  const signal = AbortSignal.timeout(DISCARD_MS);
  try {
    await removeMapper({ name }, true, signal);
    await poll(signal, async () => {
      const state = await readMapper({ name }, signal);
      return state === undefined || state.openCount > 0 ? true : undefined;
    });
  } catch {
    // Gone already, or not to be had; `remove` looks again.
  }
}

/**
 * Waits until the layers of a vbd are gone, and removes those that nobody has open: a process that was
 * killed between making one and opening it leaves it behind. Throws `EHELD` when `signal` is aborted,
 * unless with the code `ECANCELED`.
 */
export async function waitLayersGone(owner: string, signal: AbortSignal): Promise<void> {
  let left: MapperState[] = [];
  try {
    await poll(signal, async () => {
      left = await listLayers(owner, signal);
      const idle = left.filter(({ openCount }) => openCount === 0);
      await Promise.all(idle.map((layer) => removeIdle(layer, signal)));
      return left.length === 0 ? true : undefined;
    });
  } catch (error) {
    if (!signal.aborted || errorCode(signal.reason) === 'ECANCELED') throw error;
    const [layer] = left;
    // The mapper has not even answered.
    if (layer === undefined) throw error;
    const holders = await listHolders(layer.devnum);
    throw new BlockError(
      `mapper device ${layer.name} is still held by ${holders.map(({ name }) => name).join(', ') || 'the kernel (blkback, it seems)'}`,
      { code: 'EHELD', cause: error, guestMessage: STILL_OPEN },
    );
  }
}

/** Without deferral: one that is opened at this very moment stays for the next round. */
async function removeIdle({ name }: MapperState, signal: AbortSignal): Promise<void> {
  try {
    await removeMapper({ name }, false, signal);
  } catch (error) {
    if (!isSystemError(error, 'ENXIO', 'EBUSY')) throw error;
  }
}
