import { getDiskseq } from '../linux/block-ioctl.js';
import { isIoctlUnknown, isSystemError, type SystemError } from '../linux/errno.js';
import type { OwnedFd } from '../linux/fd.js';
import { KERNEL_RELEASE } from '../linux/kernel-version.js';
import { BlockError } from './block-error.js';

/**
 * Tells whether an error means that the kernel does not know an ioctl of a block device. The loop
 * driver answers EINVAL to an unknown ioctl (drivers/block/loop.c, lo_simple_ioctl).
 */
export function isUnknownToDevice(error: unknown): error is SystemError {
  return isIoctlUnknown(error) || isSystemError(error, 'EINVAL');
}

/** Returns the error for a kernel that is too old for this program. */
export function oldKernel(device: OwnedFd, cause: SystemError): BlockError {
  return new BlockError(
    `Linux 5.15 or later is needed, and this is ${KERNEL_RELEASE}: it does not know ${cause.syscall} (tried on ${device.name})`,
    { code: 'ENODISKSEQ', errno: cause.errno, syscall: cause.syscall, cause },
  );
}

/**
 * Returns the error to throw for an ioctl that an old kernel may not know. Returns `error` itself
 * if the ioctl failed for another reason, which is so if the kernel has disk sequence numbers.
 */
export async function explainUnknown(device: OwnedFd, error: unknown): Promise<unknown> {
  if (!isUnknownToDevice(error)) return error;
  try {
    await getDiskseq(device);
    return error;
  } catch (another) {
    return isUnknownToDevice(another) ? oldKernel(device, error) : error;
  }
}
