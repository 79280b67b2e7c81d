import { posix } from 'node:path';
import { devnumFromStat, sameDevnum } from '../linux/devnum.js';
import { isRegularFile, statWithinSecond } from '../linux/file-stat.js';
import { type Mount, mountOf, readMountTable, unescapeOctal } from '../linux/mounts.js';
import type { Storage } from './extent.js';

/** The file in a layer of an overlay that stands behind a file on the overlay. */
export interface RealFile {
  readonly storage: Extract<Storage, { kind: 'file' }>;
  /** Set where the overlay only reads the layer. Writes then go to a copy of the file. */
  readonly readOnly?: true;
}

/**
 * Returns whether a file may lie on an overlay, by the device number of its file system. A file on
 * an overlay has the number of the overlay, a number that no mount shows, or else the number of its
 * layer (Documentation/filesystems/overlayfs.rst, inode properties). In the last case the answer is
 * `false`.
 */
export function mayBeOverlay(
  device: bigint,
  read: () => readonly Mount[] = readMountTable,
): boolean {
  const devnum = devnumFromStat(device);
  if (devnum.major !== 0) return false;
  const mounts = read();
  const found = mounts.filter((mount) => sameDevnum(mount.devnum, devnum));
  const candidates = found.length === 0 ? mounts : found;
  return candidates.some(({ type }) => type === 'overlay');
}

/**
 * Returns the file behind a path on an overlay, from the uppermost layer that has it. Returns
 * `undefined` for a path on another file system, and where the layers cannot be seen from here or
 * do not answer within a second each.
 *
 * @param path absolute, as the kernel spells it.
 */
export async function realFileOf(
  path: string,
  mounts: readonly Mount[] = readMountTable(),
): Promise<RealFile | undefined> {
  for (const candidate of layerPaths(path, mounts)) {
    const found = await statWithinSecond(candidate.path);
    if (found === undefined || !isRegularFile(found)) continue;
    const storage = { kind: 'file', device: found.dev, inode: found.ino } as const;
    return candidate.isUpper ? { storage } : { storage, readOnly: true };
  }
  return undefined;
}

/**
 * Returns the paths at which a file on an overlay may lie, the uppermost layer first. Returns none
 * for a file on another file system. Pure.
 */
export function layerPaths(
  path: string,
  mounts: readonly Mount[],
): { readonly path: string; readonly isUpper: boolean }[] {
  const mount = mountOf(path, mounts);
  if (mount?.type !== 'overlay') return [];
  const { upper, lower } = readLayers(mount.options);
  const inside = posix.join(mount.root, path.slice(mount.directory.length));
  return [
    ...upper.map((layer) => ({ path: posix.join(layer, inside), isUpper: true })),
    ...lower.map((layer) => ({ path: posix.join(layer, inside), isUpper: false })),
  ];
}

/**
 * Reads the layers from the mount options. `lowerdir` is a list with colons. A colon within a name
 * has a backslash before it, shown as `\134`, or is itself shown as `\072`. Since Linux 6.8 each
 * layer may have a `lowerdir+` of its own. Its value is one path, in which colons stand for
 * themselves (Documentation/filesystems/overlayfs.rst, multiple lower layers).
 */
function readLayers(options: string): { upper: string[]; lower: string[] } {
  const pairs = options.split(',').map((option) => /^([^=]+)=(.*)$/s.exec(option) ?? []);
  const values = (wanted: string): string[] =>
    pairs.flatMap(([, key, value]) => (key === wanted && value !== undefined ? [value] : []));
  const listed = values('lowerdir').flatMap((list) => list.split(/(?<!\\|\\134):+/));
  return {
    upper: values('upperdir').map(unescapeOctal),
    lower: [
      ...listed.map((path) => unescapeOctal(path).replaceAll('\\:', ':')),
      ...values('lowerdir+').map(unescapeOctal),
    ],
  };
}
