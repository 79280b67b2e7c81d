import { getBlockSize, getSize } from '../../linux/block-ioctl.js';
import { randomHex } from '../../linux/calls.js';
import {
  createMapper,
  loadMapperTable,
  readMapper,
  removeMapper,
  resumeMapper,
} from '../../linux/device-mapper.js';
import type { Devnum } from '../../linux/devnum.js';
import { isSystemError, type SystemError } from '../../linux/errno.js';
import { O_RDONLY, type OwnedFd } from '../../linux/fd.js';
import { findBlock } from '../../linux/sysfs.js';
import { withOwnership } from '../../util/with-ownership.js';
import { BlockDevice } from '../block-device.js';
import { BlockError } from '../block-error.js';
import { listClaimants } from '../holders.js';
import { type DeviceIdentity, identify } from '../identity.js';
import { pinNode } from '../locate-disk.js';
import { layerParams } from './layer-table.js';
import { mapperPath } from './mapper-device.js';
import { discardLayer, layerName, layerUuid } from './release-layer.js';

/** The kind of a layer, which is the type of its device-mapper target. */
export type LayerKind = 'linear' | 'crypt';

/** A mapper device to make over the exported file or device. */
export interface LayerRequest {
  readonly kind: LayerKind;
  /**
   * The owner in the layer's name and UUID: numbers of frontend domain and device, such as
   * `7-51712`.
   */
  readonly owner: string;
}

/** The options of `createLayer`. */
export interface LayerOptions {
  readonly writable: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Returns those of some numbers that a vbd names, so that the layer must not have them. */
  readonly findNamed?: ((numbers: readonly Devnum[]) => Promise<readonly Devnum[]>) | undefined;
}

/**
 * Makes a mapper device over all of `base`, which the result owns from then on. As soon as this
 * process has the layer open, the layer is marked for deferred removal. The kernel then removes the
 * layer with the last close, by this process or by blkback, even if this process dies.
 *
 * Throws `BlockError` with the code `EBUSY` if another user has claimed the base, and with the code
 * `EWINDOW` if the size of the base does not fit. Throws `SystemError` for other failures.
 */
export async function createLayer(
  base: BlockDevice,
  { kind, owner }: LayerRequest,
  { writable, signal, findNamed }: LayerOptions,
): Promise<BlockDevice> {
  const [bytes, blockSize] = [await getSize(base.fd), await getBlockSize(base.fd)];
  if (bytes % BigInt(blockSize) !== 0n) {
    throw new BlockError(
      `${base.path} has ${bytes} bytes, not a multiple of its block size ${blockSize}: no ${kind} layer fits it`,
      { code: 'EWINDOW' },
    );
  }
  const name = await createDevice(owner, signal, findNamed);
  try {
    await loadTable(name, base, { kind, sectors: bytes / 512n, blockSize, writable, signal });
    return await openLayer(name, base, signal);
  } catch (error) {
    await discardLayer(name);
    throw error;
  }
}

/** How many mapper devices are made to find one whose number no vbd names. */
const ATTEMPTS = 64;

/**
 * Makes a mapper device without a table, whose number no vbd names. Returns its name.
 *
 * The kernel gives the lowest free number. A device that gets the number of a vbd stays until the
 * right one is made, because the kernel would give the same number again. The vbds are looked at
 * when the device exists: from then on, no other device can be published with its number.
 */
async function createDevice(
  owner: string,
  signal: AbortSignal | undefined,
  findNamed: LayerOptions['findNamed'],
): Promise<string> {
  const made: string[] = [];
  try {
    while (made.length < ATTEMPTS) {
      const id = `${owner}-${randomHex(8)}`;
      const name = layerName(id);
      const devnum = await createMapper(name, layerUuid(id), signal);
      made.push(name);
      const named = (await findNamed?.([devnum])) ?? [];
      if (named.length > 0) continue;
      made.pop();
      return name;
    }
  } finally {
    await Promise.all(made.map(discardLayer));
  }
  throw new BlockError(
    `no layer for ${owner} got a number that no vbd names, in ${ATTEMPTS} attempts: xen-blkback audit tells which vbds name a device that is gone`,
    { code: 'EBUSY' },
  );
}

interface TableRequest {
  readonly kind: LayerKind;
  readonly sectors: bigint;
  readonly blockSize: number;
  readonly writable: boolean;
  readonly signal: AbortSignal | undefined;
}

async function loadTable(name: string, base: BlockDevice, request: TableRequest): Promise<void> {
  const { kind, sectors, blockSize, writable, signal } = request;
  const params = layerParams(kind, base.identity.devnum, blockSize);
  try {
    await loadMapperTable(name, { type: kind, sectors, params, readOnly: !writable }, signal);
  } catch (error) {
    if (!isSystemError(error, 'EBUSY')) throw error;
    throw claimed(base.path, await listClaimants(base.identity.devnum), error);
  } finally {
    params.fill(0);
  }
}

/**
 * Throws `BlockError` with the code `EBUSY` if a layer over the device would find it claimed, as
 * far as this can be seen.
 */
export async function checkClaimable({ path, identity }: BlockDevice): Promise<void> {
  const claimants = await listClaimants(identity.devnum);
  if (claimants.length > 0) throw claimed(path, claimants);
}

function claimed(path: string, claimants: readonly string[], cause?: SystemError): BlockError {
  const who = claimants.join(', ') || 'somebody who has claimed it exclusively';
  return new BlockError(`${path} cannot be claimed for the guest: it is in use by ${who}`, {
    code: 'EBUSY',
    errno: cause?.errno,
    syscall: cause?.syscall,
    cause,
  });
}

async function openLayer(
  name: string,
  base: BlockDevice,
  signal: AbortSignal | undefined,
): Promise<BlockDevice> {
  const state = await readMapper({ name }, signal);
  if (state === undefined) throw new BlockError(`${name} has vanished`, { code: 'ENXIO' });
  await using node = await pinNode(findBlock(state.devnum).directory, signal);
  return await withOwnership(await node.reopen(O_RDONLY, signal), async (fd) => {
    // A layer that nobody has open would be removed at once.
    await removeMapper({ devnum: state.devnum }, true, signal);
    await resumeMapper(name, signal);
    const path = await mapperPath(state, fd.name);
    return new Layer(name, fd, await identify(fd, signal), path, base);
  });
}

/**
 * A layer. If it is given up and not handed over, its disposal waits until it is gone, because the
 * layer claims the base as long as it exists.
 */
class Layer extends BlockDevice {
  readonly #name: string;

  constructor(
    name: string,
    fd: OwnedFd,
    identity: DeviceIdentity,
    path: string,
    base: BlockDevice,
  ) {
    super(fd, identity, path, { below: base });
    this.#name = name;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    if (this.fd.isOpen) {
      await this.fd.close();
      await discardLayer(this.#name);
    }
    await this.close();
  }
}
