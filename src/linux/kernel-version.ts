import { readMemoryFile } from './memory-file.js';

/**
 * The version of a kernel by what uname(2) says of it. Debian's releases say nothing of the stable version
 * (`6.1.0-49-amd64`), its build does (`#1 SMP … Debian 6.1.176-1 (…)`). Pure.
 */
export function kernelVersion(release: string, build: string): string {
  return /\bDebian (\d+\.\d+\.\d+)/.exec(build)?.[1] ?? release;
}

/** Whether a kernel of this release gives a loop device another diskseq with another file. Pure. */
export function tellsLoopsApart(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number);
  return major > 6 || (major === 6 && (minor >= 5 || (minor === 1 && patch >= 39)));
}

/** What the kernel that runs calls itself, as `uname -r` prints it. */
export const KERNEL_RELEASE: string = readUname('osrelease');

/** The version of the kernel that runs. */
export const KERNEL_VERSION: string = kernelVersion(KERNEL_RELEASE, readUname('version'));

/** What uname(2) says: `release` and `version` there. */
function readUname(name: 'osrelease' | 'version'): string {
  return readMemoryFile(`/proc/sys/kernel/${name}`)?.trimEnd() ?? '';
}

/** b90ecc0379eb, "loop: increment the sequence number": before it the numbers say nothing. */
export const TELLS_LOOPS_APART = tellsLoopsApart(KERNEL_VERSION);
