import { O_DIRECTORY, O_RDONLY, OwnedFd } from './fd.js';
import { readEntries } from './ffi.js';

/** An entry of a directory. */
export interface DirectoryEntry {
  readonly name: string;
  /** As text: it has 64 bits, and is only ever compared. */
  readonly inode: string;
}

/** Room for the entries of some hundred devices at a time. */
const BUFFER = Buffer.alloc(32 * 1024);
// struct linux_dirent64 (getdents64(2)): u64 inode, s64 offset, u16 length, u8 type, name with NUL.
const LENGTH = 16;
const NAME = 19;

/**
 * The entries of a directory in memory, as sysfs is, with their inode numbers: Node's own readdir gives
 * none, and asking for the number of each entry costs a system call for each. Throws `SystemError`.
 */
export async function listEntries(path: string): Promise<DirectoryEntry[]> {
  await using directory = OwnedFd.openSync(path, O_RDONLY | O_DIRECTORY);
  const entries: DirectoryEntry[] = [];
  for (;;) {
    const bytes = readEntries(directory.fd, BUFFER, path);
    if (bytes === 0) return entries;
    for (let at = 0; at < bytes; at += BUFFER.readUInt16LE(at + LENGTH)) {
      const end = BUFFER.indexOf(0, at + NAME);
      const name = BUFFER.toString('latin1', at + NAME, end);
      if (name === '.' || name === '..') continue;
      entries.push({ name, inode: BUFFER.toString('latin1', at, at + 8) });
    }
  }
}
