import { type Devnum, formatDevnum, LOOP_MAJOR } from '../linux/devnum.js';
import { HAS_LOOP_DISKSEQ, KERNEL_VERSION } from '../linux/kernel-version.js';
import type { LoopStatus } from '../linux/loop-ioctl.js';
import { storageKey } from './extent.js';
import { mayBeOverlay } from './overlay.js';

/** What a loop device stands on, as long as it has this diskseq. */
interface Backing {
  readonly diskseq: bigint;
  /** The key of the file below; `undefined` for anything else below. */
  readonly key: Promise<string | undefined>;
}

/**
 * What this process has learned of loop devices, by device number. The diskseq tells whether this
 * knowledge still holds, because a loop device gets another diskseq when its file is set up,
 * exchanged or cleared. Offset and size change without a new diskseq, so they are not kept.
 */
const seen = new Map<string, Backing>();

/**
 * Returns whether a kernel of this release certainly sends an event for each loop device that is
 * bound to a file or exchanges its file. Commit e7bc0010ceb4 of 2025 does this, "loop: properly
 * send KOBJ_CHANGED uevent for disk device". It was seen to be in 6.1.176 and 6.18.44. Pure.
 */
export function sendsLoopEvents(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  return major > 6 || (major === 6 && (minor >= 18 || (minor === 1 && patch >= 176)));
}

/** Whether the running kernel sends these events. */
export const SENDS_LOOP_EVENTS = sendsLoopEvents(KERNEL_VERSION);

/**
 * Returns the key of the file that a loop device stands on; `undefined` where it stands on no file,
 * or where the file would have to be looked up each time.
 *
 * If the file is not known yet, calls `read`, once for all who ask at the same time. `diskseq` is
 * the number that the device had a moment ago. The next question notices any later change. Throws
 * as `read` does.
 */
export async function fileOfLoop(
  devnum: Devnum,
  diskseq: bigint | undefined,
  read: () => Promise<LoopStatus | undefined>,
): Promise<string | undefined> {
  if (!HAS_LOOP_DISKSEQ || devnum.major !== LOOP_MAJOR || diskseq === undefined) return undefined;
  const known = seen.get(formatDevnum(devnum));
  if (known?.diskseq === diskseq) return await known.key;
  const key = read().then(fileKey);
  const backing = { diskseq, key };
  seen.set(formatDevnum(devnum), backing);
  try {
    const found = await key;
    if (found === undefined) forget(devnum, backing);
    return found;
  } catch (error) {
    forget(devnum, backing);
    throw error;
  }
}

/**
 * Returns the key of the file that a loop device stood on while it had this diskseq. Does not look
 * at the device. Returns `undefined` where the file is not known.
 */
export async function knownFileOfLoop(
  devnum: Devnum,
  diskseq: bigint | undefined,
): Promise<string | undefined> {
  const known = seen.get(formatDevnum(devnum));
  return HAS_LOOP_DISKSEQ && known !== undefined && known.diskseq === diskseq
    ? await known.key
    : undefined;
}

function fileKey(status: LoopStatus | undefined): string | undefined {
  if (status === undefined || status.rdevice !== 0n) return undefined;
  // A file on an overlay has the bytes of another file, too.
  if (mayBeOverlay(status.device)) return undefined;
  return storageKey({ kind: 'file', device: status.device, inode: status.inode });
}

function forget(devnum: Devnum, backing: Backing): void {
  const key = formatDevnum(devnum);
  if (seen.get(key) === backing) seen.delete(key);
}
