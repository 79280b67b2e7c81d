import { isReadOnly } from '../linux/block-ioctl.js';
import type { OwnedFd } from '../linux/fd.js';
import type { MapperState } from '../linux/mapper-state.js';
import { readUdevEntry } from '../linux/udev-database.js';
import type { BlockDevice } from './block-device.js';
import { BlockError } from './block-error.js';
import { checkName, checkStaying, expectedNameOfLocator } from './mapper/mapper-device.js';
import { expectedNameOfPath, isCurrentLink } from './mapper/mapper-name.js';
import { checkVerity } from './mapper/verity.js';
import type { ExportRequest } from './open-export.js';

/** Throws `BlockError` for a setting that a regular file cannot have. */
export function checkFile(node: OwnedFd, request: ExportRequest): void {
  if (request.diskseq !== undefined) {
    throw new BlockError(
      `${node.name} is a regular file and has no diskseq of its own; diskseq=${request.diskseq} asks for a block device`,
      { code: 'EIDENTITY' },
    );
  }
  if (request.mapperOnly.length > 0) throw notMapper(node.name, 'a regular file', request);
}

/** Throws `EWRITABLE` for a disk that a guest could write although it is in a CD-ROM drive. */
export async function requireReadOnly({ fd, path }: BlockDevice): Promise<void> {
  if (await isReadOnly(fd)) return;
  throw new BlockError(
    `${path} can be written, and device-type cdrom with mode w would let the guest do that: mode r is needed`,
    { code: 'EWRITABLE' },
  );
}

/** Throws `BlockError` with the code `EIDENTITY` unless this is the wanted disk or partition. */
export function checkDisk(device: BlockDevice, { locator, diskseq }: ExportRequest): void {
  const expected = 'diskseq' in locator ? locator.diskseq : diskseq;
  const found = device.identity.diskseq;
  const partition = device.identity.partition?.number;
  if ('diskseq' in locator && partition !== locator.partition) {
    throw new BlockError(
      `${device.path} is not the partition that was meant: ${locator.partition} was expected, ${partition} found`,
      { code: 'EIDENTITY' },
    );
  }
  if (expected === undefined || expected === found) return;
  throw new BlockError(
    `${device.path} is not the disk that was meant: diskseq ${expected} was expected, ${found} found`,
    { code: 'EIDENTITY' },
  );
}

/** Throws `BlockError` unless a mapper device is the wanted one and is going to stay. */
export async function checkMapper(device: BlockDevice, request: ExportRequest): Promise<void> {
  const { locator } = request;
  const { mapper } = device.identity;
  const expected =
    'path' in locator
      ? await expectedNameOfPath(locator.path)
      : 'diskseq' in locator
        ? undefined
        : expectedNameOfLocator(locator);
  if (mapper === undefined) {
    if (request.mapperOnly.length > 0) throw notMapper(device.path, 'not one', request);
    if (expected === undefined) return;
    throw new BlockError(`${expected.by} leads to ${device.path}, which is not a mapper device`, {
      code: 'EIDENTITY',
    });
  }
  if (expected !== undefined && !isOwnLink(locator, mapper)) checkName(mapper, expected);
  if (!request.mayBeGoing) checkStaying(mapper);
  if (request.verityRoot !== undefined) await checkVerity(device, mapper, request.verityRoot);
}

/** Tells whether a path is udev's link to this mapper device, even if the link has another name. */
function isOwnLink(locator: ExportRequest['locator'], mapper: MapperState): boolean {
  if (!('path' in locator) || locator.path.startsWith('/dev/mapper/')) return false;
  return isCurrentLink(locator.path, mapper.name, readUdevEntry(mapper.devnum));
}

function notMapper(path: string, what: string, { mapperOnly }: ExportRequest): BlockError {
  return new BlockError(
    `${mapperOnly.join(', ')} can only be set for a mapper device, and ${path} is ${what}`,
    { code: 'ENOTMAPPER' },
  );
}
