import { createHash } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { normalize } from 'node:path';
import { errorCode } from '../src/errors.js';

/** The file that lists what is installed. It is removed last, because it tells what to remove. */
export const MANIFEST = '/usr/lib/xen-blkback/manifest';

/** The files and directories of an installation. Paths are absolute, without the destdir. */
export interface Manifest {
  /**
   * Files and symbolic links, with the SHA-256 of their content or target. The hash is `undefined`
   * while a file is being replaced, and in manifests of older versions.
   */
  readonly files: ReadonlyMap<string, string | undefined>;
  /** Configuration files, with the SHA-256 of the shipped content. */
  readonly conffiles: ReadonlyMap<string, string>;
  /** Directories that the installation has made, parents before children. */
  readonly directories: readonly string[];
}

/**
 * Returns the text of a manifest. Each line is `file SHA256 PATH`, `file PATH`, `conffile SHA256
 * PATH` or `directory PATH`.
 */
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

/** Parses the text of a manifest. Throws for any other line, so that nothing else is removed. */
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

/** Reads the manifest below `root`. Returns `undefined` if nothing is installed there. */
export async function readManifest(root: string): Promise<Manifest | undefined> {
  try {
    return parseManifest(await readFile(below(root, MANIFEST), 'utf8'));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Returns the place of an installed path below the destdir. */
export function below(root: string, path: string): string {
  return normalize(`${root}/${path}`);
}

/** Returns the SHA-256 of some bytes in hex. */
export function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Returns the hash of a file's content or of a link's target, or `undefined` if neither exists. */
export async function hashOfName(path: string): Promise<string | undefined> {
  try {
    return hashOf(Buffer.from(await readlink(path)));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    if (errorCode(error) !== 'EINVAL') throw error;
    return await hashOfFile(path);
  }
}

/** Returns the hash of a file's content, or `undefined` if the file does not exist. */
export async function hashOfFile(path: string): Promise<string | undefined> {
  try {
    return hashOf(await readFile(path));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
