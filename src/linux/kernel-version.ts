import { readMemoryFile } from './memory-file.js';

/**
 * Returns the version of a kernel from the texts of uname(2). Debian's release lacks the stable
 * version (`6.1.0-49-amd64`), but its build has it (`#1 SMP … Debian 6.1.176-1 (…)`). Pure.
 */
export function kernelVersion(release: string, build: string): string {
  return /\bDebian (\d+\.\d+\.\d+)/.exec(build)?.[1] ?? release;
}

/**
 * Tells whether a kernel of this version gives a loop device a new diskseq with a new file. Pure.
 */
export function hasLoopDiskseq(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  return major > 6 || (major === 6 && (minor >= 5 || (minor === 1 && patch >= 39)));
}

/** The release of the running kernel, as `uname -r` prints it. */
export const KERNEL_RELEASE: string = readUname('osrelease');

/** The version of the running kernel. */
export const KERNEL_VERSION: string = kernelVersion(KERNEL_RELEASE, readUname('version'));

/** Reads a text of uname(2), where the names are `release` and `version`. */
function readUname(name: 'osrelease' | 'version'): string {
  return readMemoryFile(`/proc/sys/kernel/${name}`)?.trimEnd() ?? '';
}

/**
 * Whether the running kernel has, by its version, the commit b90ecc0379eb, "loop: increment the
 * sequence number". Without it the diskseq of a loop device identifies no file.
 */
export const HAS_LOOP_DISKSEQ = hasLoopDiskseq(KERNEL_VERSION);
