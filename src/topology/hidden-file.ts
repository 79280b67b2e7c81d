import { readlinkSync } from 'node:fs';
import type { OwnedFd } from '../linux/fd.js';
import { readMountTable } from '../linux/mounts.js';
import { mountIdOfFd } from '../linux/place.js';
import { realFileOf } from './overlay.js';

/**
 * Returns a sentence about a file whose bytes may be those of another file, if nothing tells which
 * file that is; `undefined` for a file that stands for itself.
 */
export async function describeHidden(file: OwnedFd): Promise<string | undefined> {
  const id = mountIdOfFd(file.fd);
  const mount = readMountTable().find((one) => one.id === id);
  if (mount === undefined) return undefined;
  const { type, directory } = mount;
  // A fuseblk file system stands on a block device, and that device is compared.
  const isFuse = type === 'fuse' || type.startsWith('fuse.');
  const isOverlay = type === 'overlay';
  if (!isFuse && !isOverlay) return undefined;
  const path = readlinkSync(`/proc/self/fd/${file.fd}`);
  if (isOverlay && (await realFileOf(path)) !== undefined) return undefined;
  const kind = isFuse
    ? `a FUSE file system (${type})`
    : 'an overlay whose layers are not seen here';
  return `${file.name} lies on ${kind} at ${directory}: whether others use the same bytes by another path cannot be told`;
}
