import { readlinkSync } from 'node:fs';
import { O_PATH, OwnedFd } from '../linux/fd.js';
import type { FileStat } from '../linux/file-stat.js';
import { type Extent, WHOLE, type Window } from './extent.js';
import { mayBeOverlay, realFileOf } from './overlay.js';
import { fileExtent } from './storage-snapshot.js';

/**
 * Returns the bytes of a file that lie in a window, and the same bytes of the file in a layer, for a
 * file on an overlay.
 */
export async function extentsOfFile(file: OwnedFd, window: Window): Promise<Extent[]> {
  const { inode, fd } = file;
  const own = { ...fileExtent(inode, 0n, undefined), ...window };
  if (!mayBeOverlay(inode.dev)) return [own];
  const real = await realFileOf(readlinkSync(`/proc/self/fd/${fd}`));
  return real === undefined ? [own] : [own, { ...own, ...real }];
}

/**
 * Returns all bytes of the file at a path like `extentsOfFile`. The path may lead through links,
 * and is followed again only for a file that may lie on an overlay.
 *
 * @param found what stat(2) says about the file.
 */
export async function extentsOfPath(
  path: string,
  found: FileStat,
  signal: AbortSignal,
): Promise<Extent[]> {
  const own = fileExtent(found, 0n, undefined);
  if (!mayBeOverlay(found.dev)) return [own];
  try {
    await using file = await OwnedFd.open(path, O_PATH, { signal });
    return [own, ...(await extentsOfFile(file, WHOLE))];
  } catch {
    // The file is gone by now, or its server does not answer.
    return [own];
  }
}
