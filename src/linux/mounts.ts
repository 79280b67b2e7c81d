import { ERRNO } from '../util/errno.js';
import { type Devnum, parseDevnum } from './devnum.js';
import { SystemError } from './errno.js';
import { readMemoryFile } from './memory-file.js';

/** A mount in this process' namespace. */
export interface Mount {
  /** Of this mount, as `mnt_id` in /proc/self/fdinfo has it. */
  readonly id: number;
  /** Of the file system: anonymous (major 0) for those that keep no single device, as btrfs does. */
  readonly devnum: Devnum;
  readonly directory: string;
  /** Which directory of the file system is seen there. */
  readonly root: string;
  /** What was mounted, as whoever did it called it. */
  readonly source: string;
  /** The kind of file system: `ext4`, `nfs4`. */
  readonly type: string;
  /**
   * Whether the file system as such takes no writes. A mount of it alone being read-only says
   * nothing: another mount of the same file system may write.
   */
  readonly readOnly: boolean;
  /** Device nodes in it are of no effect by this mount. */
  readonly noDevices: boolean;
  /** The options of the file system, as they stand in the table. */
  readonly options: string;
}

/** The mounts of this namespace (proc(5), /proc/self/mountinfo). Throws `SystemError`. */
export async function readMounts(): Promise<readonly Mount[]> {
  return readMountTable();
}

let parsed: { readonly text: string; readonly mounts: Mount[] } = { text: '', mounts: [] };

/** The same, at once: the table is memory. It is parsed again only if it has changed. */
export function readMountTable(): readonly Mount[] {
  const text = readTable('/proc/self/mountinfo');
  if (text !== parsed.text) parsed = { text, mounts: parseMountinfo(text) };
  return parsed.mounts;
}

/** Reads the text of mountinfo; lines that are none are left out. */
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

/** Paths of what this domain swaps to: block devices and files (/proc/swaps). Throws `SystemError`. */
export async function readSwaps(): Promise<string[]> {
  return parseSwaps(readTable('/proc/swaps'));
}

/** Reads the text of /proc/swaps: a head, then a line for each. */
export function parseSwaps(text: string): string[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => unescapeOctal(line.split(/\s/)[0] ?? ''))
    .filter((path) => path.startsWith('/'));
}

/** At once: it is memory, and a trip through the thread pool for each of its calls would cost more. */
function readTable(path: string): string {
  const text = readMemoryFile(path);
  if (text === undefined) throw SystemError.fromErrno('read', path, ERRNO.ENOENT);
  return text;
}

/** The kernel writes blanks and the like as three octal digits (seq_path, mangle). */
export function unescapeOctal(text: string): string {
  if (!text.includes('\\')) return text;
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  const plain = bytes.replace(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(plain, 'latin1').toString('utf8');
}
