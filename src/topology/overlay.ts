import { posix } from 'node:path';
import { devnumFromStat, sameDevnum } from '../linux/devnum.js';
import { statPath } from '../linux/file-stat.js';
import { type Mount, readMountTable, unescapeOctal } from '../linux/mounts.js';
import type { Base } from './extent.js';

/** The real file of one that is seen through an overlay. */
export interface RealFile {
  readonly base: Extract<Base, { kind: 'file' }>;
  /** It is in a layer that the overlay only reads: what is written goes to a copy. */
  readonly readOnly?: true;
}

/** How long a layer is waited for; milliseconds. */
const LOOK_MS = 1000;
const [S_IFMT, S_IFREG] = [0o170000n, 0o100000n];

/**
 * Whether a file by the number of its file system may be one of an overlay, which gives its own number,
 * or one that no mount shows, or else what the layer gives (Documentation/filesystems/overlayfs.rst, inode
 * properties).
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
 * The file behind a path on an overlay: the one of the uppermost layer that has it. `undefined` for a path
 * on another file system, and where the layers cannot be seen from here.
 *
 * @param path absolute, as the kernel has it.
 */
export async function realFileOf(
  path: string,
  mounts: readonly Mount[] = readMountTable(),
): Promise<RealFile | undefined> {
  const candidates = layerPaths(path, mounts);
  for (const candidate of candidates) {
    const found = await statPath(candidate.path, AbortSignal.timeout(LOOK_MS)).catch(
      () => undefined,
    );
    if (found === undefined || (found.mode & S_IFMT) !== S_IFREG) continue;
    const base = { kind: 'file', device: found.dev, inode: found.ino } as const;
    return candidate.isUpper ? { base } : { base, readOnly: true };
  }
  return undefined;
}

/** Where a file on an overlay may lie, the uppermost layer first; none for one on another file system. Pure. */
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

/** The mount that a path lies on: the longest one, and of several in one place the last. */
function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  let found: Mount | undefined;
  for (const mount of mounts) {
    const { directory } = mount;
    const isAbove = directory === '/' || path === directory || path.startsWith(`${directory}/`);
    if (isAbove && directory.length >= (found?.directory.length ?? 0)) found = mount;
  }
  return found;
}

/** `lowerdir` is a list with colons, later kernels show `lowerdir+` for each. */
function readLayers(options: string): { upper: string[]; lower: string[] } {
  const pairs = options.split(',').map((option) => /^([^=]+)=(.*)$/s.exec(option) ?? []);
  const values = (...keys: string[]): string[] =>
    pairs.flatMap(([, key, value]) =>
      key !== undefined && value !== undefined && keys.includes(key) ? [unescapeOctal(value)] : [],
    );
  const lower = values('lowerdir', 'lowerdir+').flatMap((list) => list.split(/(?<!\\):+/));
  return { upper: values('upperdir'), lower: lower.map((path) => path.replaceAll('\\:', ':')) };
}
