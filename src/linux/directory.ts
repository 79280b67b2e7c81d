import { readEntries } from './calls.js';
import { O_DIRECTORY, O_RDONLY, OwnedFd } from './fd.js';

/** The facts about an entry of a directory. */
export interface EntryValue<T> {
  readonly value: T;
  /** Whether the value stays valid as long as the entry exists with the same inode. */
  readonly lasting: boolean;
}

interface KnownEntry<T> {
  readonly name: Buffer;
  readonly value: T;
  /** The number of the listing that saw the entry last. */
  seen: number;
}

/** Room for the entries of some hundred devices at a time. */
const BUFFER = Buffer.alloc(32 * 1024);
// struct linux_dirent64 (getdents64(2)): u64 inode, s64 offset, u16 length, u8 type, name with NUL.
const LENGTH = 16;
const NAME = 19;

/**
 * The entries of a directory in memory, such as sysfs, and the facts about each entry. Node's own
 * readdir returns no inode numbers, and asking for them takes a system call for each entry. A known
 * entry costs only a comparison of its name here.
 */
export class KnownDirectory<T> {
  readonly #path: string;
  readonly #known = new Map<number, KnownEntry<T>>();
  /** The number of listings so far. */
  #listings = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Lists the values of all entries. `read` finds out the value of an entry, and is called again
   * for the same entry unless the value is lasting, and `isValid` says that it is still right.
   * Entries for which `read` returns `undefined` are left out. Throws `SystemError`, and the errors
   * of `read`.
   */
  list(read: (name: string) => EntryValue<T> | undefined, isValid = (_: T): boolean => true): T[] {
    const directory = OwnedFd.openSync(this.#path, O_RDONLY | O_DIRECTORY);
    try {
      return this.#list(directory, read, isValid);
    } finally {
      directory.closeNow();
    }
  }

  #list(
    directory: OwnedFd,
    read: (name: string) => EntryValue<T> | undefined,
    isValid: (value: T) => boolean,
  ): T[] {
    const values: T[] = [];
    const listing = ++this.#listings;
    let lasting = 0;
    for (;;) {
      const bytes = readEntries(directory.fd, BUFFER, this.#path);
      if (bytes === 0) break;
      for (let at = 0; at < bytes; at += BUFFER.readUInt16LE(at + LENGTH)) {
        // A JavaScript number holds only 53 of the 64 bits, so the name is compared as well.
        const inode = BUFFER.readUInt32LE(at) + BUFFER.readUInt32LE(at + 4) * 2 ** 32;
        const known = this.#known.get(inode);
        const isSame = known !== undefined && startsWith(BUFFER, at + NAME, known.name);
        if (isSame && isValid(known.value)) {
          known.seen = listing;
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
        const entry = {
          name: Buffer.from(`${name}\0`, 'latin1'),
          value: found.value,
          seen: listing,
        };
        this.#known.set(inode, entry);
        lasting++;
      }
    }
    if (this.#known.size > lasting) this.#forgetUnseen(listing);
    return values;
  }

  #forgetUnseen(listing: number): void {
    for (const [inode, { seen }] of this.#known) if (seen !== listing) this.#known.delete(inode);
  }
}

function nameAt(start: number): string {
  return BUFFER.toString('latin1', start, BUFFER.indexOf(0, start));
}

/**
 * Tells whether a buffer contains `expected` at a position. A call of Buffer's for so few bytes
 * would cost more.
 */
function startsWith(buffer: Buffer, start: number, expected: Buffer): boolean {
  for (let index = 0; index < expected.length; index++) {
    if (buffer[start + index] !== expected[index]) return false;
  }
  return true;
}
