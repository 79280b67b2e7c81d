import { getBlockSize } from '../../linux/block-ioctl.js';
import { devnumFromStat, formatDevnum, LOOP_MAJOR } from '../../linux/devnum.js';
import { isSystemError } from '../../linux/errno.js';
import { O_RDONLY, O_RDWR, OwnedFd } from '../../linux/fd.js';
import {
  addLoop,
  configureLoop,
  getFreeLoop,
  LO_FLAGS_AUTOCLEAR,
  LO_FLAGS_DIRECT_IO,
  LO_FLAGS_READ_ONLY,
  type LoopConfig,
} from '../../linux/loop-ioctl.js';
import { findBlock, readAttribute } from '../../linux/sysfs.js';
import { handOver } from '../../util/hand-over.js';
import { retry } from '../../util/retry.js';
import { Turns } from '../../util/turns.js';
import { BlockDevice } from '../block-device.js';
import { BlockError } from '../block-error.js';
import { type DeviceIdentity, identify } from '../identity.js';
import { type BackingFile, type FileWindow, openBackingFile } from './backing-file.js';

/** `auto` takes direct I/O where file system and alignment allow it; `yes` fails without it. */
export type DirectIo = 'yes' | 'no' | 'auto';

export interface LoopOptions extends FileWindow {
  readonly writable: boolean;
  readonly directIo: DirectIo;
  readonly signal?: AbortSignal | undefined;
}

const LOOP_CONTROL = '/dev/loop-control';
const ATTEMPTS = 64;
/** A backing file whose server hangs must not hold up the others. */
const turns = new Turns(250);
/** From this attempt on the lowest free number seems hotly contested, so a new device is made. */
const ADD_FROM_ATTEMPT = 8;

/**
 * Makes a loop device over the regular file that the O_PATH descriptor `node` stands for. It is set
 * up in one step with autoclear on: should this process die at any later instant, the last close
 * clears it. The result is checked against what was asked for. Throws `BlockError`, `SystemError`.
 */
export async function createLoopDevice(node: OwnedFd, options: LoopOptions): Promise<BlockDevice> {
  return await handOver(
    await openBackingFile(node, options.writable, options, options.signal),
    async (file) => {
      await using control = OwnedFd.openSync(LOOP_CONTROL, O_RDWR);
      const config = toLoopConfig(file, node.name, options);
      return await handOver(await bindFreeLoop(control, config, options), async (loop) => {
        const identity = await identify(loop);
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
 * A free number is only a hint: whoever configures it first has it, and the others try again. Within
 * this process there is a turn for each, or a hundred disks at once would all be given the same hint.
 */
function bindFreeLoop(
  control: OwnedFd,
  config: LoopConfig,
  options: LoopOptions,
): Promise<OwnedFd> {
  return retry(
    {
      attempts: ATTEMPTS,
      firstDelayMs: 2,
      maxDelayMs: 250,
      retryOn: (error) => isSystemError(error, 'EBUSY', 'ENXIO', 'ENODEV', 'ENOENT', 'EUCLEAN'),
      signal: options.signal,
    },
    (attempt) =>
      turns.take(async () => {
        const number = attempt < ADD_FROM_ATTEMPT ? getFreeLoop(control) : addLoop(control);
        const path = `/dev/loop${number}`;
        const loop = await OwnedFd.open(path, options.writable ? O_RDWR : O_RDONLY);
        return handOver(loop, async () => {
          await checkNode(loop);
          await configureLoop(loop, config);
          return loop;
        });
      }),
  );
}

async function checkNode(loop: OwnedFd): Promise<void> {
  const devnum = devnumFromStat(loop.statSync().rdev);
  if (devnum.major === LOOP_MAJOR) return;
  throw new BlockError(
    `${loop.name} should be a loop device (major ${LOOP_MAJOR}) but is device ${formatDevnum(devnum)}`,
    { code: 'EIDENTITY' },
  );
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
  if (options.directIo === 'yes') await requireDirectIo(identity, loop.name);
}

/** LOOP_CONFIGURE succeeds without direct I/O too; only sysfs tells what it came to. */
async function requireDirectIo(identity: DeviceIdentity, name: string): Promise<void> {
  const { directory } = await findBlock(identity.devnum);
  if ((await readAttribute(directory, 'loop/dio')) === '1') return;
  throw new BlockError(
    `${name} cannot use direct I/O on its file: the file system or the alignment of offset and block size does not allow it; use direct-io=auto or no`,
    { code: 'EOPNOTSUPP', syscall: 'LOOP_CONFIGURE' },
  );
}
