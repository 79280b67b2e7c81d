import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** What a name in the archive stands for. */
type Entry =
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'file'; readonly source: string | Buffer; readonly mode: number };

const TYPE = { directory: 0o040755, symlink: 0o120777, file: 0o100000 } as const;

/**
 * A cpio archive as Linux unpacks it into its initial root ("newc",
 * Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root. It is not
 * compressed: unpacking that under emulation costs more than reading it.
 */
export class Cpio {
  readonly #entries = new Map<string, Entry>();

  directory(path: string): void {
    const name = nameOf(path);
    if (name === '' || this.#entries.has(name)) return;
    this.directory(dirname(`/${name}`));
    this.#entries.set(name, { kind: 'directory' });
  }

  symlink(path: string, target: string): void {
    this.#add(path, { kind: 'symlink', target });
  }

  /** `source` is the content, or the path of a file of this machine. */
  file(path: string, source: string | Buffer, mode = 0o644): void {
    this.#add(path, { kind: 'file', source, mode });
  }

  has(path: string): boolean {
    return this.#entries.has(nameOf(path));
  }

  /** The whole archive, for one that is small. */
  bytes(): Buffer {
    const parts: Buffer[] = [];
    this.#emit((part) => parts.push(part));
    return Buffer.concat(parts);
  }

  write(file: string): void {
    const fd = openSync(file, 'w');
    try {
      this.#emit((part) => {
        for (let done = 0; done < part.length; ) done += writeSync(fd, part, done);
      });
    } finally {
      closeSync(fd);
    }
  }

  #emit(sink: (part: Buffer) => void): void {
    let inode = 0;
    for (const [name, entry] of this.#entries) emitEntry(sink, name, entry, ++inode);
    emitEntry(sink, 'TRAILER!!!', undefined, 0);
  }

  #add(path: string, entry: Entry): void {
    this.directory(dirname(path));
    this.#entries.set(nameOf(path), entry);
  }
}

const nameOf = (path: string): string => path.replace(/^\/+/, '');

function emitEntry(
  sink: (part: Buffer) => void,
  name: string,
  entry: Entry | undefined,
  inode: number,
): void {
  const content = contentOf(entry);
  const mode = entry === undefined ? 0 : TYPE[entry.kind] | ('mode' in entry ? entry.mode : 0);
  // inode, mode, uid, gid, links, mtime, size, device, rdev, length of the name, checksum
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
  const header = `070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}${name}\0`;
  sink(pad(Buffer.from(header, 'latin1')));
  sink(pad(content));
}

function contentOf(entry: Entry | undefined): Buffer {
  if (entry === undefined || entry.kind === 'directory') return Buffer.alloc(0);
  if (entry.kind === 'symlink') return Buffer.from(entry.target);
  return typeof entry.source === 'string' ? readFileSync(entry.source) : entry.source;
}

function pad(data: Buffer): Buffer {
  const rest = -data.length & 3;
  return rest === 0 ? data : Buffer.concat([data, Buffer.alloc(rest)]);
}
