import { ERRNO } from '../util/errno.js';
import { type Devnum, parseDevnum } from './devnum.js';
import { SystemError } from './errno.js';
import { readMemoryFile } from './memory-file.js';

/** A mount in this process' namespace. */
export interface Mount {
  /** The id of the mount, as `mnt_id` in /proc/self/fdinfo. */
  readonly id: number;
  /**
   * Device number of the file system. It is anonymous (major 0) if the file system has no single
   * device, as with btrfs.
   */
  readonly devnum: Devnum;
  readonly directory: string;
  /** The directory of the file system that the mount shows. */
  readonly root: string;
  /** The mounted source, in the spelling of the mount call. */
  readonly source: string;
  /** The kind of file system: `ext4`, `nfs4`. */
  readonly type: string;
  /**
   * Whether the file system itself takes no writes. A read-only mount alone says nothing, because
   * another mount of the same file system may write.
   */
  readonly readOnly: boolean;
  /** Whether device nodes have no effect in this mount (`nodev`). */
  readonly noDevices: boolean;
  /** The options of the file system, as they are in the table. */
  readonly options: string;
}

/** Returns the mounts of this namespace (proc(5), /proc/self/mountinfo). Throws `SystemError`. */
export async function readMounts(): Promise<readonly Mount[]> {
  return readMountTable();
}

let parsed: { readonly text: string; readonly mounts: Mount[] } = { text: '', mounts: [] };

/**
 * Returns the mounts of this namespace at once, because the table is memory. The table is parsed
 * again only if it has changed. Throws `SystemError`.
 */
export function readMountTable(): readonly Mount[] {
  const text = readTable('/proc/self/mountinfo');
  if (text !== parsed.text) parsed = { text, mounts: parseMountinfo(text) };
  return parsed.mounts;
}

/**
 * Returns the mounts in the namespace of a process, with the directories as the process sees them;
 * none for a process that is gone. Throws `SystemError`.
 */
export function readMountsOf(pid: number): Mount[] {
  return parseMountinfo(readMemoryFile(`/proc/${pid}/mountinfo`) ?? '');
}

/**
 * Returns the mount that an absolute path leads into: the one with the longest directory, and the last
 * of several in one place. A file can be a mount point, too. Pure.
 */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  if (!path.startsWith('/')) return undefined;
  let found: Mount | undefined;
  for (const mount of mounts) {
    const { directory } = mount;
    const isAbove = directory === '/' || path === directory || path.startsWith(`${directory}/`);
    if (isAbove && directory.length >= (found?.directory.length ?? 0)) found = mount;
  }
  return found;
}

/** Reads the text of mountinfo. Lines that are not mounts are left out. */
export function parseMountinfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [front = '', back = ''] = line.split(' - ');
    const fields = front.split(' ');
    const [type = '', source = '', superOptions = ''] = back.split(' ');
    const devnum = parseDevnum(fields[2] ?? '');
    const directory = fields[4];
    if (devnum === undefined || directory === undefined) return [];
    const readOnly = superOptions.split(',').includes('ro');
    const noDevices = fields[5]?.split(',').includes('nodev') ?? false;
    return [
      {
        id: Number(fields[0]),
        devnum,
        directory: unescapeOctal(directory),
        root: unescapeOctal(fields[3] ?? '/'),
        source: unescapeOctal(source),
        type,
        readOnly,
        noDevices,
        options: superOptions,
      },
    ];
  });
}

/**
 * Returns the paths of the block devices and files that this domain swaps to (/proc/swaps). Throws
 * `SystemError`.
 */
export async function readSwaps(): Promise<string[]> {
  return parseSwaps(readTable('/proc/swaps'));
}

/** Reads the text of /proc/swaps: a head line, and then a line for each swap space. */
export function parseSwaps(text: string): string[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => unescapeOctal(line.split(/\s/)[0] ?? ''))
    .filter((path) => path.startsWith('/'));
}

/**
 * Reads a table at once. The table is memory, and a trip through the thread pool for each call
 * would cost more.
 */
function readTable(path: string): string {
  const text = readMemoryFile(path);
  if (text === undefined) throw SystemError.fromErrno('read', path, ERRNO.ENOENT);
  return text;
}

/**
 * Undoes the kernel's escapes: blanks and similar bytes as three octal digits (seq_path, mangle).
 */
export function unescapeOctal(text: string): string {
  if (!text.includes('\\')) return text;
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  const plain = bytes.replace(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(plain, 'latin1').toString('utf8');
}
