import { createHash } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { normalize } from 'node:path';
import { errorCode } from '../src/errors.js';

/** Says what is installed; it goes last, and with it the knowledge of what to remove. */
export const MANIFEST = '/usr/lib/xen-blkback/manifest';

/** What an installation has put in place; paths are absolute, without destdir. */
export interface Manifest {
  /**
   * Files and symbolic links, with the SHA-256 of their content or target; `undefined` while they are
   * being replaced, and in what older versions have written.
   */
  readonly files: ReadonlyMap<string, string | undefined>;
  /** Configuration files, with the SHA-256 of what was shipped. */
  readonly conffiles: ReadonlyMap<string, string>;
  /** Directories that were not there before, parents before children. */
  readonly directories: readonly string[];
}

/** One line each: `file SHA256 PATH` or `file PATH`, `conffile SHA256 PATH`, `directory PATH`. */
export function formatManifest({ files, conffiles, directories }: Manifest): string {
  const lines = [
    ...directories.map((path) => `directory ${path}`),
    ...[...conffiles].map(([path, hash]) => `conffile ${hash} ${path}`),
    ...[...files]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([path, hash]) => (hash === undefined ? `file ${path}` : `file ${hash} ${path}`)),
  ];
  return `${lines.join('\n')}\n`;
}

/** The reverse. Throws for anything else: what is removed must be what was installed. */
export function parseManifest(text: string): Manifest {
  const files = new Map<string, string | undefined>();
  const conffiles = new Map<string, string>();
  const directories: string[] = [];
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const [, kind, path = ''] =
      /^(file|directory|(?:conffile|file) [0-9a-f]{64}) (\/.+)$/.exec(line) ?? [];
    if (kind === undefined || path === '/' || path !== normalize(path)) {
      throw new Error(`${MANIFEST} has a line that means nothing: ${JSON.stringify(line)}`);
    }
    const [word, hash] = kind.split(' ');
    if (word === 'directory') directories.push(path);
    else if (word === 'file') files.set(path, hash);
    else if (hash !== undefined) conffiles.set(path, hash);
  }
  return { files, conffiles, directories };
}

/** What is installed below `root`; `undefined` if nothing is. */
export async function readManifest(root: string): Promise<Manifest | undefined> {
  try {
    return parseManifest(await readFile(below(root, MANIFEST), 'utf8'));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Where an installed path lies below destdir. */
export function below(root: string, path: string): string {
  return normalize(`${root}/${path}`);
}

export function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The hash of a file's content or of a link's target; `undefined` if nothing is there. */
export async function hashOfName(path: string): Promise<string | undefined> {
  try {
    return hashOf(Buffer.from(await readlink(path)));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    if (errorCode(error) !== 'EINVAL') throw error;
    return await hashOfFile(path);
  }
}

/** The hash of a file's content; `undefined` if it is not there. */
export async function hashOfFile(path: string): Promise<string | undefined> {
  try {
    return hashOf(await readFile(path));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
