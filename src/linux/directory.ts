import { readEntries } from './calls.js';
import { O_DIRECTORY, O_RDONLY, OwnedFd } from './fd.js';

/** What was found out about an entry of a directory. */
export interface EntryValue<T> {
  readonly value: T;
  /** It holds for as long as the entry is there with the same inode. */
  readonly lasting: boolean;
}

interface KnownEntry<T> {
  readonly name: Buffer;
  readonly value: T;
  /** The look at which it was seen last. */
  seen: number;
}

/** Room for the entries of some hundred devices at a time. */
const BUFFER = Buffer.alloc(32 * 1024);
// struct linux_dirent64 (getdents64(2)): u64 inode, s64 offset, u16 length, u8 type, name with NUL.
const LENGTH = 16;
const NAME = 19;

/**
 * The entries of a directory in memory, as sysfs is, with what was found out about each. Node's own
 * readdir gives no inode numbers, and to ask for the number of each entry costs a system call for each.
 * An entry that was there before costs no more than a comparison of its name.
 */
export class KnownDirectory<T> {
  readonly #path: string;
  readonly #known = new Map<number, KnownEntry<T>>();
  #looks = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Lists what is known of each entry; `read` finds it out, and is asked about an entry again unless
   * that lasts. Entries of which nothing is to be known are left out. Throws `SystemError`, and what
   * `read` throws.
   */
  async list(read: (name: string) => EntryValue<T> | undefined): Promise<T[]> {
    await using directory = OwnedFd.openSync(this.#path, O_RDONLY | O_DIRECTORY);
    const values: T[] = [];
    const look = ++this.#looks;
    let lasting = 0;
    for (;;) {
      const bytes = readEntries(directory.fd, BUFFER, this.#path);
      if (bytes === 0) break;
      for (let at = 0; at < bytes; at += BUFFER.readUInt16LE(at + LENGTH)) {
        // Of 64 bits a number holds 53: the name is compared as well.
        const inode = BUFFER.readUInt32LE(at) + BUFFER.readUInt32LE(at + 4) * 2 ** 32;
        const known = this.#known.get(inode);
        if (known !== undefined && startsWith(BUFFER, at + NAME, known.name)) {
          known.seen = look;
          lasting++;
          values.push(known.value);
          continue;
        }
        const name = nameAt(at + NAME);
        if (name === '.' || name === '..') continue;
        const found = read(name);
        if (found === undefined) continue;
        values.push(found.value);
        if (!found.lasting) continue;
        const entry = { name: Buffer.from(`${name}\0`, 'latin1'), value: found.value, seen: look };
        this.#known.set(inode, entry);
        lasting++;
      }
    }
    if (this.#known.size > lasting) this.#forgetUnseen(look);
    return values;
  }

  #forgetUnseen(look: number): void {
    for (const [inode, { seen }] of this.#known) if (seen !== look) this.#known.delete(inode);
  }
}

function nameAt(start: number): string {
  return BUFFER.toString('latin1', start, BUFFER.indexOf(0, start));
}

/** Whether a buffer goes on like this from a position on. A call for so few bytes would cost more. */
function startsWith(buffer: Buffer, start: number, expected: Buffer): boolean {
  for (let index = 0; index < expected.length; index++) {
    if (buffer[start + index] !== expected[index]) return false;
  }
  return true;
}
