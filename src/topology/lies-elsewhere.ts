import { existsSync, readFileSync } from 'node:fs';
import { devnumFromStat, sameDevnum } from '../linux/devnum.js';
import { doesMountAnswer } from '../linux/mount-answers.js';
import { type Mount, readMountTable } from '../linux/mounts.js';
import { placeOfMount } from '../linux/place.js';
import { monotonicMs } from '../util/clock.js';
import { SILENT_MS, UnansweredLoop } from './ask-loop.js';
import type { Extent } from './extent.js';
import { readPartitionList } from './stacked-block.js';

/**
 * File systems that wait for a server, or for a process. In all of them the number that stat(2) tells of
 * a file is the one in mountinfo, which does not hold for btrfs or overlayfs.
 */
const SERVED = /^(nfs4?|cifs|smb3|ceph|9p|afs|gfs2|ocfs2|virtiofs|fuse(blk|\..+)?)$/;

/** What sysfs tells of a bound loop device without asking its file. */
export interface LoopFacts {
  /** Path of its file, as whoever reads it sees it. */
  readonly path: string;
  /** Bytes of the loop device itself. */
  readonly size: bigint;
  readonly offset: bigint;
  /** Bytes; 0 means up to the end of the file. */
  readonly sizeLimit: bigint;
}

/**
 * Whether the file of a loop device that does not answer certainly has none of these bytes. The path that
 * sysfs tells is no proof by itself: it may be that of another mount namespace, or of a mount that has
 * been taken away. It is believed only where it explains why the loop device does not answer: it leads
 * to a file system that waits for a server, and that does not answer either. The wanted bytes are
 * elsewhere then if they are on another file system, which has just answered.
 */
export async function liesElsewhere(
  { number, code }: UnansweredLoop,
  extents: readonly Extent[],
): Promise<boolean> {
  const facts = readLoopFacts(number);
  const mount = facts && mountOf(facts.path, readMountTable());
  if (facts === undefined || mount === undefined || !SERVED.test(mount.type)) return false;
  if (!isBeside(facts, mount, extents, recentSizes)) return false;
  // There is no such file on its server any more, and there is the wanted one.
  if (code === 'ESTALE') return true;
  return !(await doesMountAnswer(mount, SILENT_MS));
}

/** Begins to ask the file system of a loop device that may turn out not to answer. Never waits. */
export function expectSilence(number: number): void {
  const facts = readLoopFacts(number);
  const mount = facts && mountOf(facts.path, readMountTable());
  if (mount !== undefined && SERVED.test(mount.type)) void doesMountAnswer(mount, SILENT_MS);
}

/** The same error, with where the file of the loop device lies, as far as that is known. */
export async function explainUnanswered(error: UnansweredLoop): Promise<UnansweredLoop> {
  const { number, code } = error;
  const facts = readLoopFacts(number);
  if (facts === undefined) return error;
  const mount = mountOf(facts.path, readMountTable());
  const where = mount === undefined ? '' : ` in ${placeOfMount(mount).description}`;
  const why = error.message.slice(error.message.indexOf(': ') + 2);
  return new UnansweredLoop(
    number,
    `${why}; sysfs says that its file is ${facts.path}${where}`,
    code,
  );
}

/** The mount that a path leads into: of several in one place, the last. Pure. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  if (!path.startsWith('/')) return undefined;
  let found: Mount | undefined;
  for (const mount of mounts) {
    const { directory } = mount;
    const isAbove = path.startsWith(directory === '/' ? '/' : `${directory}/`);
    if (isAbove && directory.length >= (found?.directory.length ?? 0)) found = mount;
  }
  return found;
}

/**
 * Whether a file of a loop device that is in this mount is none of those with these bytes, nor a node of
 * a device that has them. Pure.
 *
 * @param sizes tells those of the block devices that there are, in KiB.
 */
export function isBeside(
  facts: LoopFacts,
  mount: Mount,
  extents: readonly Extent[],
  sizes: () => readonly bigint[],
): boolean {
  return extents.every(({ base }) =>
    base.kind === 'file'
      ? !sameDevnum(devnumFromStat(base.device), mount.devnum)
      : mount.noDevices || !mayBeDevice(facts, sizes()),
  );
}

const KIB = 1024n;

/**
 * Whether there is a block device over which the loop device would have just its size. A node of one can
 * lie anywhere, though nobody puts it there.
 */
function mayBeDevice({ size, offset, sizeLimit }: LoopFacts, sizes: readonly bigint[]): boolean {
  return sizes.some((blocks) => {
    const room = blocks * KIB - offset;
    const difference = (sizeLimit !== 0n && sizeLimit < room ? sizeLimit : room) - size;
    return difference < KIB && difference > -KIB;
  });
}

/** How long one list serves everybody; milliseconds. What a silent loop device stands on is older. */
const LIST_MS = 100;
let listed: readonly bigint[] = [];
let listedAt = Number.NEGATIVE_INFINITY;

function recentSizes(): readonly bigint[] {
  if (monotonicMs() - listedAt > LIST_MS) {
    listed = listSizes();
    listedAt = monotonicMs();
  }
  return listed;
}

/** Sizes of block devices, in KiB, without those of loop devices over files, which have no others below. */
function listSizes(): bigint[] {
  const lines = readPartitionList().matchAll(/^ *\d+ +\d+ +(\d+) (\S+)$/gm);
  return [...lines]
    .filter(([, , name = '']) => readBackingFile(name)?.startsWith('/dev/') ?? true)
    .map(([, blocks = '0']) => BigInt(blocks));
}

function readBackingFile(name: string): string | undefined {
  const file = `/sys/block/${name}/loop/backing_file`;
  // Not trimmed: it may end with a blank.
  return existsSync(file) ? readFileSync(file, 'utf8').replace(/\n$/, '') : undefined;
}

function readLoopFacts(number: number): LoopFacts | undefined {
  const directory = `/sys/block/loop${number}`;
  try {
    const path = readBackingFile(`loop${number}`);
    if (path === undefined) return undefined;
    const text = (name: string): string => readFileSync(`${directory}/${name}`, 'utf8').trimEnd();
    return {
      path,
      size: BigInt(text('size')) * 512n,
      offset: BigInt(text('loop/offset')),
      sizeLimit: BigInt(text('loop/sizelimit')),
    };
  } catch {
    // It is too long for sysfs, or the loop device has just been cleared.
    return undefined;
  }
}
