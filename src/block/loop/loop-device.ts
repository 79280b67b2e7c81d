import { getBlockSize, isReadOnly, setWritable } from '../../linux/block-ioctl.js';
import type { IoctlOptions } from '../../linux/calls.js';
import { isSystemError, SystemError } from '../../linux/errno.js';
import { O_RDONLY, O_RDWR, type OwnedFd } from '../../linux/fd.js';
import {
  configureLoop,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_READ_ONLY,
  type LoopConfig,
} from '../../linux/loop-ioctl.js';
import { findBlock, readAttribute, readDevnum } from '../../linux/sysfs.js';
import { ERRNO } from '../../util/errno.js';
import { retry } from '../../util/retry.js';
import { withOwnership } from '../../util/with-ownership.js';
import { BlockDevice } from '../block-device.js';
import { BlockError } from '../block-error.js';
import { openDeviceNode } from '../device-node.js';
import { type DeviceIdentity, identify } from '../identity.js';
import { explainUnknown } from '../old-kernel.js';
import { type BackingFile, type FileWindow, openBackingFile } from './backing-file.js';
import { type FreeLoopOptions, FreeLoopSearch, openLoopControl } from './free-loop.js';

/**
 * The use of direct I/O. `auto` uses it if the file system and the alignment allow it; `yes` fails
 * without it.
 */
export type DirectIo = 'yes' | 'no' | 'auto';

/** The properties of a new loop device, and the options of its making. */
export interface LoopOptions extends FileWindow {
  readonly writable: boolean;
  readonly directIo: DirectIo;
  readonly signal?: AbortSignal | undefined;
  readonly findNamed?: FreeLoopOptions['findNamed'];
}

const ATTEMPTS = 64;

/**
 * Makes a loop device over the regular file that the O_PATH descriptor `node` stands for. One call
 * sets the device up with autoclear on. If this process dies at any later moment, the last close
 * clears the device. The result is compared with the request. Throws `BlockError`, `SystemError`.
 */
export async function createLoopDevice(node: OwnedFd, options: LoopOptions): Promise<BlockDevice> {
  return await withOwnership(
    await openBackingFile(node, options.writable, options, options.signal),
    async (file) => {
      await using control = openLoopControl();
      const config = toLoopConfig(file, node.name, options);
      const bound = await bindFreeLoop(control, config, options);
      return await withOwnership(await toReader(bound, options), async (loop) => {
        const identity = await identify(loop, options.signal);
        await checkResult(loop, identity, file, options);
        return new BlockDevice(loop, identity, loop.name, { ownLoop: true, file: file.fd });
      });
    },
  );
}

function toLoopConfig(file: BackingFile, fileName: string, options: LoopOptions): LoopConfig {
  return {
    backingFd: file.fd.fd,
    blockSize: options.blockSize,
    offset: options.offset,
    sizeLimit: options.size ?? 0n,
    flags:
      LO_FLAGS_AUTOCLEAR |
      (options.writable ? 0 : LO_FLAGS_READ_ONLY) |
      (options.directIo === 'no' ? 0 : LO_FLAGS_DIRECT_IO),
    fileName,
  };
}

/**
 * Binds a free loop device. Another process may bind or remove this device first, and then the next
 * free device is tried.
 */
function bindFreeLoop(
  control: OwnedFd,
  config: LoopConfig,
  options: LoopOptions,
): Promise<OwnedFd> {
  const { signal } = options;
  const search = new FreeLoopSearch(control, options);
  const retryOn = (error: unknown): boolean =>
    isSystemError(error, 'EBUSY', 'ENXIO', 'ENODEV', 'ENOENT', 'EUCLEAN');
  return retry(
    { attempts: ATTEMPTS, firstDelayMs: 2, maxDelayMs: 250, retryOn, signal },
    async () => {
      const free = await search.claim();
      let cameBack: Promise<void> | undefined;
      try {
        const loop = await openLoop(free.number, options);
        return await withOwnership(loop, async () => {
          if (!(await free.mayBeBound())) {
            search.refuse(free);
            throw SystemError.fromErrno('open', loop.name, ERRNO.EBUSY);
          }
          const onAbandoned = (promise: Promise<void>): void => {
            cameBack = promise;
          };
          await configure(loop, config, { signal, onAbandoned });
          free.release();
          return loop;
        });
      } catch (error) {
        // A call that was given up may still bind the device. The last close follows then and
        // clears the device.
        if (cameBack === undefined) await free.discard();
        else free.discardAfter(cameBack);
        throw error;
      }
    },
  );
}

/**
 * Exchanges the descriptor that a loop device was set up with for one that only reads. udev reads
 * the device when the writing descriptor is closed, and this is better now than when the guest has
 * the disk.
 */
async function toReader(bound: OwnedFd, { writable, signal }: LoopOptions): Promise<OwnedFd> {
  if (!writable) return bound;
  await using writer = bound;
  // The read-only setting of `blockdev --setro` stays with the device number, even when another
  // file is bound.
  if (await isReadOnly(writer)) setWritable(writer);
  return await writer.reopen(O_RDONLY, signal);
}

async function configure(loop: OwnedFd, config: LoopConfig, options: IoctlOptions): Promise<void> {
  try {
    await configureLoop(loop, config, options);
  } catch (error) {
    throw await explainUnknown(loop, error);
  }
}

async function openLoop(number: number, { writable, signal }: LoopOptions): Promise<OwnedFd> {
  const devnum = readDevnum(`/sys/block/loop${number}`);
  const path = `/dev/loop${number}`;
  // Another process has removed the device.
  if (devnum === undefined) throw SystemError.fromErrno('open', path, ERRNO.ENXIO);
  return await openDeviceNode(path, devnum, writable ? O_RDWR : O_RDONLY, signal);
}

async function checkResult(
  loop: OwnedFd,
  identity: DeviceIdentity,
  file: BackingFile,
  options: LoopOptions,
): Promise<void> {
  const status = identity.loop;
  const refuse = (what: string, expected: unknown, found: unknown): BlockError =>
    new BlockError(
      `${loop.name} was set up with ${what} ${String(found)} instead of ${String(expected)}`,
      { code: 'EIDENTITY', syscall: 'LOOP_CONFIGURE' },
    );
  if (status?.device !== file.device) throw refuse('backing device', file.device, status?.device);
  if (status.inode !== file.inode) throw refuse('backing inode', file.inode, status.inode);
  if (status.offset !== options.offset) throw refuse('offset', options.offset, status.offset);
  const sizeLimit = options.size ?? 0n;
  if (status.sizeLimit !== sizeLimit) throw refuse('size limit', sizeLimit, status.sizeLimit);
  const readOnly = (status.flags & LO_FLAGS_READ_ONLY) !== 0;
  if (readOnly === options.writable) throw refuse('read-only', !options.writable, readOnly);
  const blockSize = await getBlockSize(loop);
  if (blockSize !== options.blockSize) throw refuse('block size', options.blockSize, blockSize);
  if (options.directIo === 'yes') requireDirectIo(identity, loop.name);
}

/**
 * Throws `BlockError` with the code `EOPNOTSUPP` unless the loop device uses direct I/O.
 * LOOP_CONFIGURE succeeds without direct I/O too, and only sysfs shows whether it is in use.
 */
function requireDirectIo(identity: DeviceIdentity, name: string): void {
  const { directory } = findBlock(identity.devnum);
  if (readAttribute(directory, 'loop/dio') === '1') return;
  throw new BlockError(
    `${name} cannot use direct I/O on its file: the file system or the alignment of offset and block size does not allow it; use direct-io=auto or no`,
    { code: 'EOPNOTSUPP', syscall: 'LOOP_CONFIGURE' },
  );
}
