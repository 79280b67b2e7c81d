import { readdirSync } from 'node:fs';
import { blockingCall } from '../linux/blocking-call.js';
import { throwShortage } from '../linux/errno.js';
import { O_PATH, O_RDONLY, OwnedFd } from '../linux/fd.js';
import { readMemoryFile } from '../linux/memory-file.js';

/** So much of a command line is read; bytes. */
const ROOM = 64 * 1024;
/** Longest wait for the command line of a process; milliseconds. */
const COMMAND_MS = 1000;

/** Returns the name of a process for the middle of a sentence: `process 12 (qemu-system-x86)`. */
export function nameOfProcess(pid: string): string {
  const name = read(`/proc/${pid}/comm`).trim();
  return `process ${pid} (${name || '?'})`;
}

/** Tells whether a descriptor only stands for a file (O_PATH): it does not keep the file open. */
export function isPathOnly(pid: string, fd: string): boolean {
  const [, flags = '0'] = /^flags:\s*([0-7]+)$/m.exec(read(`/proc/${pid}/fdinfo/${fd}`)) ?? [];
  return (Number.parseInt(flags, 8) & O_PATH) !== 0;
}

/**
 * Reads the command line of a process, with a NUL after each word. Returns `undefined` if it cannot
 * be read within a second. The kernel reads this text from the anonymous memory of the process, and
 * takes the lock of that memory for it (fs/proc/base.c, get_mm_cmdline; mm/memory.c,
 * access_remote_vm). Another thread may hold the lock while it waits for a file server, or the
 * memory may have to come from swap space on one.
 */
export async function readCommand(pid: string): Promise<string | undefined> {
  const path = `/proc/${pid}/cmdline`;
  const bytes = Buffer.alloc(ROOM);
  try {
    await using file = OwnedFd.openSync(path, O_RDONLY);
    const length = await blockingCall({
      call: 'read',
      args: [file.fd, bytes, bytes.length],
      uses: [file.fd],
      object: path,
      signal: AbortSignal.timeout(COMMAND_MS),
      place: () => undefined,
    });
    return bytes.toString('latin1', 0, length);
  } catch {
    return undefined;
  }
}

/**
 * Lists the names in a directory of procfs or sysfs; none where it is gone. Throws `SystemError` for
 * want of descriptors or memory only.
 */
export function listDirectory(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    throwShortage('open', directory, error);
    return [];
  }
}

/** Lists the numbers of all visible processes. Throws `SystemError` as `listDirectory` does. */
export function listPids(): string[] {
  return listDirectory('/proc').filter((name) => /^\d+$/.test(name));
}

/** Reads a file of /proc that is memory of the kernel itself, unlike a command line. */
function read(path: string): string {
  try {
    return readMemoryFile(path) ?? '';
  } catch (error) {
    throwShortage('open', path, error);
    return '';
  }
}
