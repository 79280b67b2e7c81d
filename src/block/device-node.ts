import { unlinkSync } from 'node:fs';
import { blockingCall } from '../linux/blocking.js';
import { randomHex } from '../linux/calls.js';
import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isSystemError } from '../linux/errno.js';
import { OwnedFd } from '../linux/fd.js';
import { handOver } from '../util/hand-over.js';
import { BlockError } from './block-error.js';

const AT_FDCWD = -100;
/** A block device that only root may open. */
const MODE = 0o060600;

/**
 * Opens the node of a block device that the kernel has. Where there is none, as in a container's /dev, a
 * node of its own is made for the moment, in /dev, since other file systems may not have nodes that work
 * (`nodev`). Throws `EIDENTITY` where the node is another device's, `ENONODE` where none can be made.
 */
export async function openDeviceNode(
  path: string,
  devnum: Devnum,
  flags: number,
  signal?: AbortSignal,
): Promise<OwnedFd> {
  const fd = await openOrMake(path, devnum, flags, signal);
  return await handOver(fd, async () => {
    const found = devnumFromStat(fd.inode.rdev);
    if (sameDevnum(found, devnum)) return fd;
    throw new BlockError(
      `${path} should be device ${formatDevnum(devnum)} but is device ${formatDevnum(found)}`,
      { code: 'EIDENTITY' },
    );
  });
}

async function openOrMake(
  path: string,
  devnum: Devnum,
  flags: number,
  signal: AbortSignal | undefined,
): Promise<OwnedFd> {
  try {
    return await OwnedFd.open(path, flags, { signal });
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
  const own = `/dev/.xen-blkback-${randomHex(8)}`;
  await makeNode(own, path, devnum, signal);
  try {
    return await OwnedFd.open(own, flags, { name: path, signal });
  } finally {
    unlinkSync(own);
  }
}

async function makeNode(
  own: string,
  path: string,
  { major, minor }: Devnum,
  signal: AbortSignal | undefined,
): Promise<void> {
  // new_encode_dev of linux/kdev_t.h, which is what the call takes.
  const device = (minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12);
  try {
    await blockingCall({
      call: 'mknodat',
      args: [AT_FDCWD, own, MODE, device],
      uses: [],
      name: 'mknod',
      object: own,
      signal,
      place: () => undefined,
      late: () => unlinkSync(own),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new BlockError(
      `${path} does not exist, though the kernel has that device, and no node can be made for it: /dev should be a devtmpfs, or have nodes for loop devices`,
      { code: 'ENONODE', syscall: 'mknod', cause },
    );
  }
}
