import { type Devnum, LOOP_MAJOR } from '../linux/devnum.js';
import { isRegularFile, statPath } from '../linux/file-stat.js';
import { lookUpBlock, readBackingPath } from '../linux/sysfs.js';
import { parseTarget } from '../target/target.js';
import { isAutoclearLoop, readPresentDiskseq } from '../topology/stacked-block.js';
import type { PublishedDevice } from '../vbd/published-device.js';
import type { VbdRecord } from '../vbd/record.js';
import type { VbdBackend } from '../vbd/vbd-backend.js';

/**
 * A loop device that was made for a vbd, by this program or by Xen's script, and is still bound.
 */
export interface OwnLoop {
  readonly devnum: Devnum;
  readonly diskseq: bigint;
  /** The path of the kernel's node. */
  readonly path: string;
  /** Whether the loop device clears itself with its last close. */
  readonly autoclear: boolean;
}

/** How long the file systems of the two files may take to answer; milliseconds. */
const TARGET_MS = 500;

/**
 * The hints that name the device of a vbd. The loop device itself decides whether a hint is right.
 */
export interface LoopHints {
  readonly backend: VbdBackend;
  readonly record: VbdRecord | undefined;
  /** The device on which a layer of the vbd stands. */
  readonly base: Devnum | undefined;
  readonly published: PublishedDevice | undefined;
}

/**
 * Finds the loop device that was made for a vbd; returns `undefined` where there is none, or none
 * any more.
 */
export async function findOwnLoop(hints: LoopHints): Promise<OwnLoop | undefined> {
  const { record, base, published } = hints;
  const recorded = record && (await readLoop(record.devnum, record.diskseq));
  if (recorded !== undefined) return recorded;
  const candidate = base ?? published?.devnum;
  const loop = candidate && (await readLoop(candidate, base ? undefined : published?.diskseq));
  return loop !== undefined && (await isOverTarget(loop, hints)) ? loop : undefined;
}

/** Returns a bound loop device if it has this sequence number. sysfs answers from memory. */
async function readLoop(devnum: Devnum, diskseq: bigint | undefined): Promise<OwnLoop | undefined> {
  if (devnum.major !== LOOP_MAJOR) return undefined;
  const present = readPresentDiskseq(devnum);
  if (present === undefined || (diskseq ?? present) !== present) return undefined;
  const path = `/dev/loop${devnum.minor}`;
  return { devnum, diskseq: present, path, autoclear: isAutoclearLoop(devnum) };
}

/**
 * Tells whether a loop device stands on the file that `params` names. This has to be shown, because
 * another loop device may be the disk of another user. The file's name in sysfs is compared first.
 * The files are looked at only where the names differ, and not for long, because their server may
 * be gone.
 */
async function isOverTarget({ devnum }: OwnLoop, { backend }: LoopHints): Promise<boolean> {
  const path = targetPath(backend);
  const block = lookUpBlock(devnum);
  const file = block && readBackingPath(block.directory);
  if (path === undefined || file === undefined) return false;
  if (file === path || file === `${path} (deleted)`) return true;
  const [target, backing] = await Promise.all([identifyFile(path), identifyFile(file)]);
  return target !== undefined && target === backing;
}

function targetPath(backend: VbdBackend): string | undefined {
  const params = backend.bytes('params');
  if (params === undefined) return undefined;
  try {
    const { locator } = parseTarget(params);
    return locator.by === 'path' ? locator.path : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns a text that tells a regular file from all others; `undefined` for anything else, or where
 * no server answers.
 */
async function identifyFile(path: string): Promise<string | undefined> {
  try {
    const found = await statPath(path, AbortSignal.timeout(TARGET_MS));
    return isRegularFile(found) ? `${found.dev} ${found.ino}` : undefined;
  } catch {
    return undefined;
  }
}
