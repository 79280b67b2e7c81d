import { unlinkSync } from 'node:fs';
import { blockingCall } from '../linux/blocking-call.js';
import { randomHex } from '../linux/calls.js';
import { type Devnum, devnumFromStat, formatDevnum, sameDevnum } from '../linux/devnum.js';
import { isSystemError } from '../linux/errno.js';
import { AT_FDCWD } from '../linux/fcntl.js';
import { OwnedFd } from '../linux/fd.js';
import { withOwnership } from '../util/with-ownership.js';
import { BlockError } from './block-error.js';

/** Mode of the node: a block device that only root may open. */
const MODE = 0o060600;

/**
 * Opens the device node `path` of a block device that the kernel has. If the node does not exist,
 * as in a container's /dev, this function makes its own node for a moment and opens that one. The
 * node is made in /dev, because device nodes may have no effect in other file systems (`nodev`).
 *
 * Throws `BlockError` with the code `EIDENTITY` if the node belongs to another device, and with the
 * code `ENONODE` if no node can be made.
 */
export async function openDeviceNode(
  path: string,
  devnum: Devnum,
  flags: number,
  signal?: AbortSignal,
): Promise<OwnedFd> {
  const fd = await openOrMake(path, devnum, flags, signal);
  return await withOwnership(fd, async () => {
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
  // mknodat(2) takes a device number in the layout of new_encode_dev (linux/kdev_t.h).
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
      onAbandonedSuccess: () => unlinkSync(own),
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new BlockError(
      `${path} does not exist, though the kernel has that device, and no node can be made for it: /dev should be a devtmpfs, or have nodes for loop devices`,
      { code: 'ENONODE', syscall: 'mknod', cause },
    );
  }
}
