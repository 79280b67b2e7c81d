import { type Devnum, LOOP_MAJOR } from '../linux/devnum.js';
import type { OwnedFd } from '../linux/fd.js';
import { withOwnership } from '../util/with-ownership.js';
import { type BlockDevice, openBlockDevice } from './block-device.js';
import { BlockError } from './block-error.js';
import { checkDisk, checkFile, checkMapper, requireReadOnly } from './check-device.js';
import { type DiskLocator, pinDisk } from './locate-disk.js';
import { type FileWindow, openBackingFile } from './loop/backing-file.js';
import { createLoopDevice, type DirectIo } from './loop/loop-device.js';
import { checkClaimable, createLayer, type LayerRequest } from './mapper/layer.js';
import { type MapperLocator, pinMapper } from './mapper/mapper-device.js';
import { type PinnedPath, pinPath } from './open-path.js';

/** A file or device that is named by its path, as `decodePath` makes it. */
export interface PathLocator {
  readonly path: string;
  /** `false` if the path must not lead through a symbolic link. */
  readonly symlinks?: boolean | undefined;
}

/** A request to export a file or device. */
export interface ExportRequest {
  readonly locator: PathLocator | DiskLocator | MapperLocator;
  /** The disk sequence number that a device found by path, name or UUID must have. */
  readonly diskseq: bigint | undefined;
  readonly writable: boolean;
  readonly file: FileWindow & { readonly directIo: DirectIo };
  /** Settings that only a file can have; a device with one of them is refused. */
  readonly fileOnly: readonly string[];
  /** Settings that only a mapper device can have; anything else with one of them is refused. */
  readonly mapperOnly: readonly string[];
  /**
   * Set for a device that may be marked for deferred removal. While a guest moves, the same vbd at
   * the other end has marked it. Our descriptor, and then blkback's, keeps the device.
   */
  readonly mayBeGoing?: boolean | undefined;
  /** The root digest that the dm-verity table of the device must have; lower-case hex. */
  readonly verityRoot: string | undefined;
  /**
   * Set for a CD-ROM drive, which is only read. `writable` says whether the mode would let the guest
   * write.
   */
  readonly drive?: { readonly writable: boolean } | undefined;
  /** The mapper device to make over the exported file or device. */
  readonly layer: LayerRequest | undefined;
}

/** The options of an open. */
export interface OpenOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Returns those of some numbers that a vbd names, so that no device may be made with them.
   */
  readonly findNamed?: ((numbers: readonly Devnum[]) => Promise<readonly Devnum[]>) | undefined;
}

/** Pins the file or device that the locator leads to, and opens it as `openPinned` does. */
export async function openExport(
  request: ExportRequest,
  signal?: AbortSignal,
): Promise<BlockDevice> {
  const pinned = await pinLocator(request.locator, signal);
  await using _node = pinned.fd;
  return await openPinned(pinned, request, { signal });
}

/**
 * Opens a pinned file or device for export. A block device is opened as it is, and a regular file
 * gets a new loop device. A requested layer is made over either. Nothing is made before it is known
 * that the file or device can be opened as requested. The caller keeps the pin. Throws
 * `BlockError`, `SystemError`.
 */
export async function openPinned(
  pinned: PinnedPath,
  request: ExportRequest,
  options: OpenOptions = {},
): Promise<BlockDevice> {
  const { signal, findNamed } = options;
  const { layer, writable } = request;
  return await withOwnership(await openBase(pinned, request, options), async (base) =>
    layer === undefined ? base : await createLayer(base, layer, { writable, signal, findNamed }),
  );
}

async function openBase(
  { fd: node, kind }: PinnedPath,
  request: ExportRequest,
  { signal, findNamed }: OpenOptions,
): Promise<BlockDevice> {
  if (kind === 'block') return await openDevice(node, request, signal);
  checkFile(node, request);
  const { file, writable, drive } = request;
  const mayBeEmpty = drive !== undefined;
  const findNamedLoops = async (numbers: readonly number[]): Promise<ReadonlySet<number>> => {
    const loops = numbers.map((minor) => ({ major: LOOP_MAJOR, minor }));
    return new Set(((await findNamed?.(loops)) ?? []).map(({ minor }) => minor));
  };
  const options = { ...file, mayBeEmpty, writable, signal, findNamed: findNamedLoops };
  return await createLoopDevice(node, options);
}

/**
 * Opens and checks the same as `openExport`, but makes neither a loop device nor a layer. Throws
 * the same errors.
 */
export async function checkExport(request: ExportRequest, signal?: AbortSignal): Promise<void> {
  const { fd, kind } = await pinLocator(request.locator, signal);
  await using node = fd;
  if (kind === 'block') {
    await using device = await openDevice(node, request, signal);
    if (request.layer !== undefined) await checkClaimable(device);
    return;
  }
  checkFile(node, request);
  await using _file = await openBackingFile(node, request.writable, request.file, signal);
}

/** Pins the file or device that a locator leads to, without opening it. */
export async function pinLocator(
  locator: ExportRequest['locator'],
  signal?: AbortSignal,
): Promise<PinnedPath> {
  if ('path' in locator) return pinPath(locator.path, signal, locator.symlinks);
  if ('diskseq' in locator) return { fd: await pinDisk(locator, signal), kind: 'block' };
  return { fd: await pinMapper(locator, signal), kind: 'block' };
}

async function openDevice(
  node: OwnedFd,
  request: ExportRequest,
  signal: AbortSignal | undefined,
): Promise<BlockDevice> {
  if (request.fileOnly.length > 0) {
    throw new BlockError(
      `${node.name} is a block device; ${request.fileOnly.join(', ')} can only be set for a file`,
      { code: 'ENOTDISK' },
    );
  }
  const device = await openBlockDevice(node, request.writable, { signal });
  return withOwnership(device, async () => {
    checkDisk(device, request);
    if (request.drive?.writable) await requireReadOnly(device);
    await checkMapper(device, request);
    return device;
  });
}
