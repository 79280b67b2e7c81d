import { isReadOnly } from '../linux/block-ioctl.js';
import { O_NONBLOCK, O_RDONLY, type OwnedFd } from '../linux/fd.js';
import { handOver } from '../util/hand-over.js';
import { BlockError } from './block-error.js';
import { awaitContent } from './content.js';
import { deviceName, explainRefusal, whyReadOnly } from './device-refusal.js';
import { type DeviceIdentity, identify, identityDifference } from './identity.js';
import { mapperPath, noTable, waitResumed } from './mapper/mapper-device.js';

/** What there is to a block device beside itself. */
export interface DeviceParts {
  /** It is a loop device that was made for this export. */
  readonly ownLoop?: boolean | undefined;
  /** The descriptor that this loop device was set up with; closed with the device. */
  readonly file?: OwnedFd | undefined;
  /** What it stands on, if it is a layer that was made for this export; closed with the device. */
  readonly below?: BlockDevice | undefined;
}

/** A block device as a verified handle: the open descriptor is what keeps `identity` true. */
export class BlockDevice implements AsyncDisposable {
  readonly #fd: OwnedFd;
  readonly identity: DeviceIdentity;
  /** A path for QEMU and for people. Never opened again. */
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

  /** The file below it, still open as the loop device has it, if that was made by this process. */
  get file(): OwnedFd | undefined {
    return this.#parts.file;
  }

  /** What it stands on, if it is a layer that was made for this export. */
  get below(): BlockDevice | undefined {
    return this.#parts.below;
  }

  /** The lowest device of the stack that is held: what the target led to, or its loop device. */
  get bottom(): BlockDevice {
    return this.below?.bottom ?? this;
  }

  /** The same device as the layer over another one; both are the result's from then on. */
  over(below: BlockDevice): BlockDevice {
    return new BlockDevice(this.#fd, this.identity, this.path, { ...this.#parts, below });
  }

  get fd(): OwnedFd {
    return this.#fd;
  }

  /**
   * Throws `BlockError` with code `EIDENTITY` unless the kernel still says what it said at first, with
   * `ENEWMEDIUM` where nothing but the disk sequence number is different.
   */
  async verify(signal?: AbortSignal): Promise<void> {
    await this.below?.verify(signal);
    let found = await identify(this.#fd, signal, this.identity);
    // With another number a loop device may have another file, which is asked for now.
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

  /** Lets go of the device, and of what is below. Whoever else has it open keeps it. */
  async close(): Promise<void> {
    // Side by side: each may take its time, and none waits for another one.
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

/** How long a suspended mapper device is waited for where the caller sets no end; milliseconds. */
const RESUME_MS = 10_000;

export interface OpenDeviceOptions {
  /** It is a loop device that was made for this export before. */
  readonly ownLoop?: boolean | undefined;
  /** Ends all waits: for the device, its driver, and a mapper device that is suspended. */
  readonly signal?: AbortSignal | undefined;
  /** A loop device over a file of 0 bytes will do. */
  readonly mayBeEmpty?: boolean;
}

/**
 * Opens the block device that the O_PATH descriptor `node` stands for, for reading: identity and the
 * reference to it need no more, and udev would read a guest's partition table when a descriptor with
 * writing access is closed. `writable` says whether the guest is to write.
 * Refuses a device without a medium, and a read-only one where `writable` is asked for: blkback
 * would take both, and the guest would meet the error. Waits for a mapper device that is suspended.
 * Throws `BlockError`, `SystemError`.
 */
export async function openBlockDevice(
  node: OwnedFd,
  writable: boolean,
  options: OpenDeviceOptions = {},
): Promise<BlockDevice> {
  return handOver(await open(node, options.signal), async (fd) => {
    const identity = await identifyResumed(fd, options.signal);
    if (writable && (await isReadOnly(fd))) throw readOnlyError(fd.name, identity);
    if (!options.mayBeEmpty) await awaitContent(fd, identity, options.signal);
    // The kernel's name of a mapper device says nothing to people.
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
  return /^\/dev\/dm-\d+$/.test(path);
}

/** A suspended mapper device may get another table before it is resumed: it is looked at afterwards. */
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
