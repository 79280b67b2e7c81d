import { isReadOnly } from '../linux/block-ioctl.js';
import { O_NONBLOCK, O_RDONLY, type OwnedFd } from '../linux/fd.js';
import { plainPath } from '../util/path-bytes.js';
import { withOwnership } from '../util/with-ownership.js';
import { BlockError } from './block-error.js';
import { awaitContent } from './content.js';
import { deviceName, explainRefusal, whyReadOnly } from './device-refusal.js';
import { type DeviceIdentity, identify, identityDifference } from './identity.js';
import { mapperPath, noTable, waitResumed } from './mapper/mapper-device.js';

/** The parts that belong to a block device beside its descriptor. */
export interface DeviceParts {
  /** Whether the device is a loop device that was made for this export. */
  readonly ownLoop?: boolean | undefined;
  /** The descriptor that the loop device was set up with. It is closed with the device. */
  readonly file?: OwnedFd | undefined;
  /** The device below a layer that was made for this export. It is closed with the layer. */
  readonly below?: BlockDevice | undefined;
}

/** A verified handle of a block device. The open descriptor keeps `identity` true. */
export class BlockDevice implements AsyncDisposable {
  readonly #fd: OwnedFd;
  readonly identity: DeviceIdentity;
  /** A path for QEMU and for people. Nothing opens this path again. */
  readonly path: string;
  readonly #parts: DeviceParts;

  constructor(fd: OwnedFd, identity: DeviceIdentity, path: string, parts: DeviceParts = {}) {
    this.#fd = fd;
    this.identity = identity;
    this.path = path;
    this.#parts = parts;
  }

  /** Whether the device is a loop device that was made for this export. */
  get ownLoop(): boolean {
    return this.#parts.ownLoop ?? false;
  }

  /**
   * The descriptor of the backing file that this process set up the loop device with. It is still
   * open. `undefined` for any other device.
   */
  get file(): OwnedFd | undefined {
    return this.#parts.file;
  }

  /** The device below this one, if this one is a layer that was made for this export. */
  get below(): BlockDevice | undefined {
    return this.#parts.below;
  }

  /**
   * The lowest device of the stack that this process holds. It is the device that the target led
   * to, or the loop device over the target's file.
   */
  get bottom(): BlockDevice {
    return this.below?.bottom ?? this;
  }

  /**
   * Returns a handle of the same device that has `below` as the device below. The result owns this
   * device and `below` from then on.
   */
  over(below: BlockDevice): BlockDevice {
    return new BlockDevice(this.#fd, this.identity, this.path, { ...this.#parts, below });
  }

  /** The descriptor of the device, open for reading. */
  get fd(): OwnedFd {
    return this.#fd;
  }

  /**
   * Compares the device with what the kernel said of it at first. Throws `BlockError` with the code
   * `ENEWMEDIUM` if only the disk sequence number has changed, and with the code `EIDENTITY` if
   * anything else has changed.
   */
  async verify(signal?: AbortSignal): Promise<void> {
    await this.below?.verify(signal);
    let found = await identify(this.#fd, signal, this.identity);
    // A loop device with a new diskseq may have a new file. This call asks for the file again.
    if (found.diskseq !== this.identity.diskseq) found = await identify(this.#fd, signal);
    const difference = identityDifference(this.identity, found);
    if (difference === undefined) return;
    const { diskseq } = this.identity;
    if (identityDifference({ ...this.identity, diskseq: found.diskseq }, found) === undefined) {
      throw newMedium(this.path, diskseq, found.diskseq);
    }
    throw new BlockError(`${this.path} was changed while it was being attached: ${difference}`, {
      code: 'EIDENTITY',
    });
  }

  /**
   * Closes the device, the device below and the backing file. Other processes that have the device
   * open keep it.
   */
  async close(): Promise<void> {
    // The closes run side by side: each may be slow, and none has to wait for another one.
    await Promise.all([this.#fd.close(), this.file?.close(), this.below?.close()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function newMedium(path: string, before: bigint, after: bigint): BlockError {
  return new BlockError(
    `${path} got a new disk sequence number (${before}, then ${after}) while it was being attached, and is the same otherwise: its medium or file was exchanged, or its driver reports a new medium whenever it is asked, as some card readers do (events_poll_msecs in sysfs)`,
    { code: 'ENEWMEDIUM' },
  );
}

/** Longest wait for a suspended mapper device if the caller gives no `signal`; milliseconds. */
const RESUME_MS = 10_000;

/** The options of an open. */
export interface OpenDeviceOptions {
  /** Whether the device is a loop device that was made for this export before. */
  readonly ownLoop?: boolean | undefined;
  /** Ends every wait: for the device, for its driver, and for a suspended mapper device. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a device of 0 bytes is accepted, such as a loop device over a file of 0 bytes. */
  readonly mayBeEmpty?: boolean;
}

/**
 * Opens the block device that the O_PATH descriptor `node` stands for. `writable` says whether the
 * guest is to write.
 *
 * The device is opened for reading only. This is enough to identify the device and to keep it, and
 * udev reads a guest's partition table when a descriptor with write access is closed.
 *
 * Refuses a device without a medium, and refuses a read-only device if `writable` is true. blkback
 * accepts both, and the guest would meet the errors. Waits until a suspended mapper device is
 * resumed. Throws `BlockError`, `SystemError`.
 */
export async function openBlockDevice(
  node: OwnedFd,
  writable: boolean,
  options: OpenDeviceOptions = {},
): Promise<BlockDevice> {
  return withOwnership(await open(node, options.signal), async (fd) => {
    const identity = await identifyResumed(fd, options.signal);
    if (writable && (await isReadOnly(fd))) throw readOnlyError(fd.name, identity);
    if (!options.mayBeEmpty) await awaitContent(fd, identity, options.signal);
    // The kernel's name of a mapper device (`dm-N`) tells people nothing.
    const { mapper } = identity;
    const path = mapper && isKernelName(fd.name) ? await mapperPath(mapper, fd.name) : fd.name;
    return new BlockDevice(fd, identity, path, { ownLoop: options.ownLoop });
  });
}

async function open(node: OwnedFd, signal: AbortSignal | undefined): Promise<OwnedFd> {
  try {
    return await node.reopen(O_RDONLY | O_NONBLOCK, signal);
  } catch (error) {
    throw explainRefusal(node, error);
  }
}

function isKernelName(path: string): boolean {
  return /^\/dev\/dm-\d+$/.test(plainPath(path));
}

/**
 * Identifies an open device. A suspended mapper device may get a new table before it is resumed, so
 * this function waits until the device is resumed and identifies it again.
 */
async function identifyResumed(fd: OwnedFd, signal?: AbortSignal): Promise<DeviceIdentity> {
  const identity = await identify(fd, signal);
  const { mapper, devnum } = identity;
  if (mapper === undefined) return identity;
  if (!mapper.live) throw noTable(mapper);
  if (!mapper.suspended) return identity;
  await waitResumed(devnum, mapper.name, signal ?? AbortSignal.timeout(RESUME_MS));
  return await identify(fd, signal);
}

function readOnlyError(name: string, { devnum }: DeviceIdentity): BlockError {
  const why = whyReadOnly(deviceName(devnum)) ?? 'use mode r, or a writable device';
  return new BlockError(`${name} is read-only, and the guest is to write it (mode w): ${why}`, {
    code: 'EREADONLY',
  });
}
