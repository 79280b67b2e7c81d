import type { OwnedFd } from '../linux/fd.js';
import { handOver } from '../util/hand-over.js';
import type { FileWindow } from './backing-file.js';
import { type BlockDevice, openBlockDevice } from './block-device.js';
import { BlockError } from './block-error.js';
import { type DiskLocator, pinDisk } from './locate-disk.js';
import { createLoopDevice, type DirectIo } from './loop-device.js';
import { type PinnedPath, pinPath } from './open-path.js';

/** What is to be exported, and how. */
export interface ExportRequest {
  readonly locator: { readonly path: string } | DiskLocator;
  /** The sequence number that a device found by path must have. */
  readonly diskseq: bigint | undefined;
  readonly writable: boolean;
  readonly file: FileWindow & { readonly directIo: DirectIo };
  /** Settings that were made and only mean something for a file; on a device they are refused. */
  readonly fileOnly: readonly string[];
}

/**
 * Opens what is to be exported: a block device as it is, a regular file as a new loop device. Nothing
 * is made before it is known that it can be opened as asked. Throws `BlockError`, `SystemError`.
 */
export async function openExport(
  request: ExportRequest,
  signal?: AbortSignal,
): Promise<BlockDevice> {
  const { fd, kind } = await pinLocator(request.locator);
  await using node = fd;
  if (kind === 'block') return await openDevice(node, request);
  if (request.diskseq !== undefined) {
    throw new BlockError(
      `${node.name} is a regular file and has no diskseq of its own; diskseq=${request.diskseq} asks for a block device`,
      { code: 'EIDENTITY' },
    );
  }
  return await createLoopDevice(node, { ...request.file, writable: request.writable, signal });
}

/** Pins what a locator leads to, without opening it. */
export async function pinLocator(locator: ExportRequest['locator']): Promise<PinnedPath> {
  if ('path' in locator) return pinPath(locator.path);
  return { fd: await pinDisk(locator), kind: 'block' };
}

/** The sequence number that the opened device must have, if any. */
function expectedDiskseq({ locator, diskseq }: ExportRequest): bigint | undefined {
  return 'diskseq' in locator ? locator.diskseq : diskseq;
}

async function openDevice(node: OwnedFd, request: ExportRequest): Promise<BlockDevice> {
  if (request.fileOnly.length > 0) {
    throw new BlockError(
      `${node.name} is a block device; ${request.fileOnly.join(', ')} can only be set for a file`,
      { code: 'ENOTDISK' },
    );
  }
  return handOver(await openBlockDevice(node, request.writable), async (device) => {
    const expected = expectedDiskseq(request);
    const found = device.identity.diskseq;
    const partition = device.identity.partition?.number;
    if ('diskseq' in request.locator && partition !== request.locator.partition) {
      throw new BlockError(
        `${device.path} is not the partition that was meant: ${request.locator.partition} was expected, ${partition} found`,
        { code: 'EIDENTITY' },
      );
    }
    if (expected === undefined || expected === found) return device;
    throw new BlockError(
      `${device.path} is not the disk that was meant: diskseq ${expected} was expected, ${found} found`,
      { code: 'EIDENTITY' },
    );
  });
}
