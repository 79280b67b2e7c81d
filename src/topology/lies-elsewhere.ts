import { existsSync, readFileSync } from 'node:fs';
import { devnumFromStat, sameDevnum } from '../linux/devnum.js';
import { doesMountAnswer } from '../linux/mount-answers.js';
import { type Mount, mountOf, readMountTable } from '../linux/mounts.js';
import { placeOfMount } from '../linux/place.js';
import { monotonicMs } from '../util/clock.js';
import { SILENT_MS, UnansweredLoop } from './ask-loop.js';
import type { Extent } from './extent.js';
import { readPartitionList } from './partition-list.js';

/**
 * File systems that wait for a server or for a process. In all of them stat(2) gives a file the
 * same device number as mountinfo shows. This is not so for btrfs and overlayfs.
 */
const SERVED = /^(nfs4?|cifs|smb3|ceph|9p|afs|gfs2|ocfs2|virtiofs|fuse(blk|\..+)?)$/;

/** The facts about a bound loop device that sysfs tells without asking its file. */
export interface LoopFacts {
  /** Path of its file, as the process that reads sysfs sees it. */
  readonly path: string;
  /** Bytes of the loop device itself. */
  readonly size: bigint;
  readonly offset: bigint;
  /** Bytes; 0 means up to the end of the file. */
  readonly sizeLimit: bigint;
}

/**
 * Returns whether the file of a loop device that does not answer certainly has none of these bytes.
 *
 * The path in sysfs is no proof by itself: it may belong to another mount namespace, or to a mount
 * that has been taken away. The path is believed only if it explains why the loop device does not
 * answer, that is, if it leads to a file system that waits for a server and does not answer either.
 * The wanted bytes are then elsewhere if they are on another file system, because that one has just
 * answered.
 */
export async function liesElsewhere(
  { number, code }: UnansweredLoop,
  extents: readonly Extent[],
): Promise<boolean> {
  const facts = readLoopFacts(number);
  const mount = facts && mountOf(facts.path, readMountTable());
  if (facts === undefined || mount === undefined || !SERVED.test(mount.type)) return false;
  if (!isBeside(facts, mount, extents, recentSizes)) return false;
  // The file of the loop device no longer exists on its server, while the wanted file exists.
  if (code === 'ESTALE') return true;
  return !(await doesMountAnswer(mount, SILENT_MS));
}

/**
 * Begins to ask the file system below a slow loop device whether it answers. `liesElsewhere` then has
 * the answer sooner. Never waits.
 */
export function beginAskingMount(number: number): void {
  const facts = readLoopFacts(number);
  const mount = facts && mountOf(facts.path, readMountTable());
  if (mount !== undefined && SERVED.test(mount.type)) void doesMountAnswer(mount, SILENT_MS);
}

/** Returns the same error, with the place of the loop device's file as far as it is known. */
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

/**
 * Returns whether the file of a loop device, which lies in this mount, is none of the files with
 * these bytes and no node of a device that has them. Pure.
 *
 * @param sizes returns the sizes of all block devices, in KiB.
 */
export function isBeside(
  facts: LoopFacts,
  mount: Mount,
  extents: readonly Extent[],
  sizes: () => readonly bigint[],
): boolean {
  return extents.every(({ storage }) =>
    storage.kind === 'file'
      ? !sameDevnum(devnumFromStat(storage.device), mount.devnum)
      : mount.noDevices || !mayBeDevice(facts, sizes()),
  );
}

const KIB = 1024n;

/**
 * Returns whether there is a block device over which the loop device would have just its size. A
 * node of a block device can lie in any file system, although nobody puts it there.
 */
function mayBeDevice({ size, offset, sizeLimit }: LoopFacts, sizes: readonly bigint[]): boolean {
  return sizes.some((blocks) => {
    const room = blocks * KIB - offset;
    const difference = (sizeLimit !== 0n && sizeLimit < room ? sizeLimit : room) - size;
    return difference < KIB && difference > -KIB;
  });
}

/**
 * How long one list is used; milliseconds. The list is new enough, because whatever a silent loop
 * device stands on is older.
 */
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

/**
 * Returns the sizes of block devices, in KiB. Leaves out loop devices over files, because no other
 * loop device stands on them. A loop device whose path cannot be read counts as one over a device.
 */
export function listSizes(): bigint[] {
  const lines = readPartitionList().matchAll(/^ *\d+ +\d+ +(\d+) (\S+)$/gm);
  return [...lines]
    .filter(([, , name = '']) => readBackingFile(name)?.startsWith('/dev/') ?? true)
    .map(([, blocks = '0']) => BigInt(blocks));
}

/**
 * Returns the path of a loop device's file. Returns `undefined` for any other device, for a path
 * that is too long for sysfs (`ENAMETOOLONG`), and for a loop device that has just been cleared.
 */
function readBackingFile(name: string): string | undefined {
  const file = `/sys/block/${name}/loop/backing_file`;
  try {
    // The path is not trimmed, because it may end with a blank.
    return existsSync(file) ? readFileSync(file, 'utf8').replace(/\n$/, '') : undefined;
  } catch {
    return undefined;
  }
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
    // The loop device has just been cleared.
    return undefined;
  }
}
