import { errorCode } from '../../errors.js';
import { listMappers, readMapper, removeMapper } from '../../linux/device-mapper.js';
import { type Devnum, parseDevnum } from '../../linux/devnum.js';
import { isSystemError } from '../../linux/errno.js';
import { describeHungCall } from '../../linux/hung-calls.js';
import type { MapperState } from '../../linux/mapper-state.js';
import { isInMemory } from '../../linux/memory-file.js';
import { poll } from '../../util/poll.js';
import { BlockError, STILL_OPEN } from '../block-error.js';
import { listHolders } from '../holders.js';

/** Longest wait until a layer that nobody has open is gone; milliseconds. */
const DISCARD_MS = 2000;
/** The place of device-mapper in sysfs. Without device-mapper there is no layer. */
const MAPPER_MISC = '/sys/class/misc/device-mapper';

/** Returns the name of a layer. `id` has the frontend, the device number and a random part. */
export function layerName(id: string): string {
  return `xenvbd-${id}`;
}

/** Returns the UUID of a layer. */
export function layerUuid(id: string): string {
  return `XENVBD-${id}`;
}

/** Tells whether a mapper device is a layer that was made for `owner`, such as `7-51712`. */
export function isLayerOf({ name, uuid }: MapperState, owner: string): boolean {
  return name.startsWith(layerName(`${owner}-`)) && uuid.startsWith(layerUuid(`${owner}-`));
}

/** Returns the number of the device below a layer, read from the layer's table. */
export function layerBase({ targets }: MapperState): Devnum | undefined {
  const fields = targets[0]?.params.split(' ') ?? [];
  const device = targets[0]?.type === 'crypt' ? fields[3] : fields[0];
  return device === undefined ? undefined : parseDevnum(device);
}

/**
 * Lists the layers of an owner, or of all owners if `owner` is `undefined`. Without device-mapper
 * the list is empty. Throws `SystemError`.
 */
export async function listLayers(owner?: string, signal?: AbortSignal): Promise<MapperState[]> {
  if (!isInMemory(MAPPER_MISC)) return [];
  const prefix = layerName(owner === undefined ? '' : `${owner}-`);
  const names = (await listMappers(signal)).filter(({ name }) => name.startsWith(prefix));
  const states = await Promise.all(names.map(({ name }) => readMapper({ name }, signal)));
  return states.filter((state) => state !== undefined);
}

/** How long device-mapper may take to tell which layers there are; milliseconds. */
const LIST_MS = 5000;

/**
 * Lists the owners of layers that nobody has open. These layers were left behind, or are just being
 * made. Throws `EHUNG` where device-mapper does not answer in time: nothing else ends this question.
 */
export async function listIdleLayerOwners(): Promise<string[]> {
  const signal = AbortSignal.timeout(LIST_MS);
  const layers = await listLayers(undefined, signal).catch((error: unknown) => {
    if (error !== signal.reason) throw error;
    throw new BlockError(
      `device-mapper has not told within ${LIST_MS / 1000} s which layers are left: ${describeHungCall(error) ?? 'it does not answer'}; look for a device that is suspended (dmsetup info) or a disk that hangs`,
      { code: 'EHUNG', cause: error },
    );
  });
  const idle = layers.filter(({ openCount }) => openCount === 0);
  return idle.flatMap(({ name }) => /^xenvbd-(\d+-\d+)-/.exec(name)?.[1] ?? []);
}

/**
 * Removes a layer that was not handed over, and waits until it is gone. If another process has the
 * layer open, this function does not wait, because the last close removes the layer. Never rejects,
 * because the caller already has an error to report.
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
    // The layer is gone already, or device-mapper did not answer. `remove` looks again.
  }
}

/**
 * Waits until those layers of a vbd are gone for which `isMeant` returns true, and removes the
 * layers among them that nobody has open. A process that is killed between making a layer and
 * opening it leaves such a layer behind. `isMeant` is asked in every round.
 *
 * If `signal` is aborted first, throws `BlockError` with the code `EHELD`. If the reason of
 * `signal` has the code `ECANCELED`, or if device-mapper has not answered, throws that reason
 * instead.
 */
export async function waitLayersGone(
  owner: string,
  isMeant: (layer: MapperState) => boolean,
  signal: AbortSignal,
): Promise<void> {
  let left: MapperState[] = [];
  try {
    await poll(signal, async () => {
      left = (await listLayers(owner, signal)).filter(isMeant);
      const idle = left.filter(({ openCount }) => openCount === 0);
      await Promise.all(idle.map((layer) => removeIdle(layer, signal)));
      return left.length === 0 ? true : undefined;
    });
  } catch (error) {
    if (!signal.aborted || errorCode(signal.reason) === 'ECANCELED') throw error;
    const [layer] = left;
    // Device-mapper has not answered at all.
    if (layer === undefined) throw error;
    const holders = await listHolders(layer.devnum);
    throw new BlockError(
      `mapper device ${layer.name} is still held by ${holders.map(({ name }) => name).join(', ') || 'the kernel (blkback, it seems)'}`,
      { code: 'EHELD', cause: error, guestMessage: STILL_OPEN },
    );
  }
}

/**
 * Removes a layer that nobody has open. The removal is not deferred: a layer that is opened at this
 * moment stays, and the next round looks at it again.
 */
async function removeIdle({ name }: MapperState, signal: AbortSignal): Promise<void> {
  try {
    await removeMapper({ name }, false, signal);
  } catch (error) {
    if (!isSystemError(error, 'ENXIO', 'EBUSY')) throw error;
  }
}
