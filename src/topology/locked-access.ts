import type { FileLock } from '../linux/file-locks.js';
import type { Access } from './local-use.js';

/**
 * QEMU locks one byte, from 100 on, for each kind of access that it may make to an image
 * (block/file-posix.c, RAW_LOCK_PERM_BASE; include/block/block-common.h, BLK_PERM_WRITE and
 * BLK_PERM_RESIZE). All these locks are shared.
 */
const [QEMU_BYTES, QEMU_END] = [100n, 200n];
const QEMU_WRITES = [101n, 103n];

/**
 * Returns how the holders of these locks use the file; `undefined` for no locks. cloud-hypervisor
 * locks the bytes of the image, or all bytes, and does so exclusively if it writes
 * (docs/disk_locking.md). Pure.
 */
export function lockedAccess(locks: readonly FileLock[]): Access | undefined {
  if (locks.length === 0) return undefined;
  return locks.some((lock) => lock.exclusive || isQemuWriting(lock)) ? 'read-write' : 'read-only';
}

/**
 * Returns whether a lock shows that QEMU writes. The kernel shows locks of neighbouring bytes as
 * one.
 */
function isQemuWriting({ start, end }: FileLock): boolean {
  if (end === undefined || start < QEMU_BYTES || end >= QEMU_END) return false;
  return QEMU_WRITES.some((byte) => start <= byte && byte <= end);
}
