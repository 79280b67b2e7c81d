import {
  chmod,
  lstat,
  mkdir,
  open,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errorCode } from '../src/errors.js';
import { below } from './manifest.js';
import type { Entry } from './tree.js';

/**
 * Puts one entry in place below `root`, regardless of the umask. Writes the entry beside its place
 * and renames it, so that a program that opens or executes it sees the complete old file or the
 * complete new file.
 */
export async function place(root: string, entry: Entry): Promise<void> {
  const path = below(root, entry.path);
  const fresh = join(dirname(path), `.${basename(path)}.xen-blkback-new`);
  await rm(fresh, { force: true });
  try {
    if (entry.kind === 'link') await symlink(entry.target, fresh);
    else await write(fresh, entry.bytes, entry.mode);
    await rename(fresh, path);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}

async function write(path: string, bytes: Buffer, mode: number): Promise<void> {
  await using file = await open(path, 'wx', 0o600);
  await file.writeFile(bytes);
  await file.chmod(mode);
  // Without this, the name could lead to an empty file after a power failure.
  await file.sync();
}

/**
 * Makes the parents of `path` below `root`. Returns the directories that it made, parents first.
 */
export async function makeParents(root: string, path: string): Promise<string[]> {
  const missing: string[] = [];
  let directory = dirname(path);
  while (directory !== '/' && !(await exists(below(root, directory)))) {
    missing.unshift(directory);
    directory = dirname(directory);
  }
  await mkdir(root, { recursive: true });
  for (const made of missing) {
    await mkdir(below(root, made));
    await chmod(below(root, made), 0o755);
  }
  return missing;
}

/** Tells whether an identical file or link is in place already, no matter who has put it there. */
export async function isInPlace(root: string, entry: Entry): Promise<boolean> {
  const path = below(root, entry.path);
  try {
    if (entry.kind === 'link') return (await readlink(path)) === entry.target;
    return (await lstat(path)).isFile() && entry.bytes.equals(await readFile(path));
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'EINVAL') return false;
    throw error;
  }
}

/** Tells whether anything has this name, even a link that leads nowhere. */
export async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
