import { getSize, isReadOnly } from '../linux/block-ioctl.js';
import { isWriteRefused } from '../linux/errno.js';
import { O_NONBLOCK, O_RDONLY, O_RDWR, type OwnedFd } from '../linux/fd.js';
import { handOver } from '../util/hand-over.js';
import { BlockError } from './block-error.js';
import { type DeviceIdentity, identify, identityDifference } from './identity.js';

/** A block device as a verified handle: the open descriptor is what keeps `identity` true. */
export class BlockDevice implements AsyncDisposable {
  readonly #fd: OwnedFd;
  readonly identity: DeviceIdentity;
  /** A path for QEMU and for people. Never opened again. */
  readonly path: string;
  /** Whether the device is a loop device that was made for this export. */
  readonly ownLoop: boolean;

  constructor(fd: OwnedFd, identity: DeviceIdentity, path: string, ownLoop: boolean) {
    this.#fd = fd;
    this.identity = identity;
    this.path = path;
    this.ownLoop = ownLoop;
  }

  get fd(): OwnedFd {
    return this.#fd;
  }

  /** Throws `BlockError` with code `EIDENTITY` unless the kernel still says what it said at first. */
  async verify(): Promise<void> {
    const difference = identityDifference(this.identity, await identify(this.#fd));
    if (difference === undefined) return;
    throw new BlockError(`${this.path} was changed while it was being attached: ${difference}`, {
      code: 'EIDENTITY',
    });
  }

  /** Lets go of the device. Whoever else has it open keeps it. */
  close(): Promise<void> {
    return this.#fd.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Opens the block device that the O_PATH descriptor `node` stands for, as the guest will use it.
 * Refuses a device without a medium, and a read-only one where `writable` is asked for: blkback
 * would take both, and the guest would meet the error. Throws `BlockError`, `SystemError`.
 * `ownLoop` says that it is a loop device that was made for this export before.
 */
export async function openBlockDevice(
  node: OwnedFd,
  writable: boolean,
  ownLoop = false,
): Promise<BlockDevice> {
  return handOver(await openNode(node, writable), async (fd) => {
    const identity = await identify(fd);
    if (writable && (await isReadOnly(fd))) throw readOnlyError(fd.name);
    if ((await getSize(fd)) === 0n) {
      throw new BlockError(`${fd.name} is empty: it has no medium, or nothing is behind it`, {
        code: 'ENOMEDIUM',
      });
    }
    return new BlockDevice(fd, identity, fd.name, ownLoop);
  });
}

async function openNode(node: OwnedFd, writable: boolean): Promise<OwnedFd> {
  try {
    return await node.reopen((writable ? O_RDWR : O_RDONLY) | O_NONBLOCK);
  } catch (error) {
    if (writable && isWriteRefused(error)) throw readOnlyError(node.name, error);
    throw error;
  }
}

function readOnlyError(name: string, cause?: unknown): BlockError {
  return new BlockError(
    `${name} is read-only, and the guest is to write it (mode w): use mode r, or a writable device`,
    { code: 'EREADONLY', cause },
  );
}
