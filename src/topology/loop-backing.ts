import { type Devnum, formatDevnum, LOOP_MAJOR } from '../linux/devnum.js';
import { KERNEL_VERSION, TELLS_LOOPS_APART } from '../linux/kernel-version.js';
import type { LoopStatus } from '../linux/loop-ioctl.js';
import { baseKey } from './extent.js';
import { mayBeOverlay } from './overlay.js';

/** What a loop device stands on, by the number and the disk sequence number of the device. */
interface Backing {
  readonly diskseq: bigint;
  /** The key of its file; `undefined` for anything else. */
  readonly key: Promise<string | undefined>;
}

/**
 * What this process has learned of loop devices, by number. The disk sequence number tells whether it
 * still holds: setting up, exchanging and clearing the file each give the device another one. Offset
 * and size change without that, so they are not kept.
 */
const seen = new Map<string, Backing>();

/**
 * Whether a kernel of this release certainly sends an event for each loop device that is bound to a file
 * or exchanges it: e7bc0010ceb4 of 2025, "loop: properly send KOBJ_CHANGED uevent for disk device", which
 * was seen to be in 6.1.176 and 6.18.44. Pure.
 */
export function tellsOfLoops(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  return major > 6 || (major === 6 && (minor >= 18 || (minor === 1 && patch >= 176)));
}

/** This kernel does. */
export const TELLS_OF_LOOPS = tellsOfLoops(KERNEL_VERSION);

/**
 * The key of the file that a loop device stands on; `undefined` where it stands on none, or where that
 * would have to be looked up each time. `read` is asked if it is not known yet, once for all who want
 * to know at the same time. `diskseq` is the one that the device has had since a moment ago: what
 * changes after that is noticed by whoever asks next.
 */
export async function fileOfLoop(
  devnum: Devnum,
  diskseq: bigint | undefined,
  read: () => Promise<LoopStatus | undefined>,
): Promise<string | undefined> {
  if (!TELLS_LOOPS_APART || devnum.major !== LOOP_MAJOR || diskseq === undefined) return undefined;
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
 * The same for a device that had a sequence number at some time, without a look at it: what it stood on
 * as long as it had that number; `undefined` where that is not known.
 */
export async function knownFileOfLoop(
  devnum: Devnum,
  diskseq: bigint | undefined,
): Promise<string | undefined> {
  const known = seen.get(formatDevnum(devnum));
  return TELLS_LOOPS_APART && known !== undefined && known.diskseq === diskseq
    ? await known.key
    : undefined;
}

function fileKey(status: LoopStatus | undefined): string | undefined {
  if (status === undefined || status.rdevice !== 0n) return undefined;
  // Then it has the bytes of another file, too.
  if (mayBeOverlay(status.device)) return undefined;
  return baseKey({ kind: 'file', device: status.device, inode: status.inode });
}

function forget(devnum: Devnum, backing: Backing): void {
  const key = formatDevnum(devnum);
  if (seen.get(key) === backing) seen.delete(key);
}
