import { getBlockSize, getSize } from '../../linux/block-ioctl.js';
import { randomHex } from '../../linux/calls.js';
import {
  createMapper,
  loadMapperTable,
  readMapper,
  removeMapper,
  resumeMapper,
} from '../../linux/device-mapper.js';
import { isSystemError, type SystemError } from '../../linux/errno.js';
import { O_RDONLY, type OwnedFd } from '../../linux/fd.js';
import { findBlock } from '../../linux/sysfs.js';
import { handOver } from '../../util/hand-over.js';
import { BlockDevice } from '../block-device.js';
import { BlockError } from '../block-error.js';
import { listClaimants } from '../holders.js';
import { type DeviceIdentity, identify } from '../identity.js';
import { pinNode } from '../locate-disk.js';
import { layerParams } from './layer-table.js';
import { mapperPath } from './mapper-device.js';
import { discardLayer, layerName, layerUuid } from './release-layer.js';

export type LayerKind = 'linear' | 'crypt';

/** A mapper device to be made over what is exported. */
export interface LayerRequest {
  readonly kind: LayerKind;
  /** Whose it is, as part of its name and UUID: frontend and device number, `7-51712`. */
  readonly owner: string;
}

/**
 * Makes a mapper device over all of `base`, which is the result's from then on. It is marked for
 * deferred removal as soon as it is held here, so that whatever becomes of this process the kernel
 * removes it with the last close: this one's, or blkback's. Throws `EBUSY` where somebody else has
 * claimed the base, `EWINDOW` where its size does not fit.
 */
export async function createLayer(
  base: BlockDevice,
  { kind, owner }: LayerRequest,
  writable: boolean,
  signal?: AbortSignal,
): Promise<BlockDevice> {
  const [bytes, blockSize] = [await getSize(base.fd), await getBlockSize(base.fd)];
  if (bytes % BigInt(blockSize) !== 0n) {
    throw new BlockError(
      `${base.path} has ${bytes} bytes, not a multiple of its block size ${blockSize}: no ${kind} layer fits it`,
      { code: 'EWINDOW' },
    );
  }
  const id = `${owner}-${randomHex(8)}`;
  const name = layerName(id);
  await createMapper(name, layerUuid(id), signal);
  try {
    await loadTable(name, base, { kind, sectors: bytes / 512n, blockSize, writable, signal });
    return await openLayer(name, base, signal);
  } catch (error) {
    await discardLayer(name);
    throw error;
  }
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

/** Throws `EBUSY` where a layer over the device would find it claimed, as far as that can be seen. */
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
  return await handOver(await node.reopen(O_RDONLY, signal), async (fd) => {
    // Not before it is open: it would go at once.
    await removeMapper({ devnum: state.devnum }, true, signal);
    await resumeMapper(name, signal);
    const path = await mapperPath(state, fd.name);
    return new Layer(name, fd, await identify(fd, signal), path, base);
  });
}

/** A layer that is given up, not handed over, is waited for: when it is gone, so is its hold on the base. */
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
