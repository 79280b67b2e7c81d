import { execFile } from 'node:child_process';
import { readFile, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { errorCode, errorMessage } from '../src/errors.js';
import { compileClient } from './client.js';
import { type SettledConffile, settleConffile } from './conffile.js';
import { checkDivert, divert } from './divert.js';
import {
  below,
  formatManifest,
  hashOf,
  hashOfFile,
  MANIFEST,
  type Manifest,
  readManifest,
} from './manifest.js';
import { checkNode } from './node.js';
import { refusePackaged } from './packaged.js';
import { exists, isInPlace, makeParents, place } from './place.js';
import { ADDON, CODE_CACHES, CODE_COMPILER, type Conffile, type Entry, planTree } from './tree.js';

/** Options of `install`. */
export interface InstallOptions {
  /** The directory of the checkout, which must be built. */
  readonly project: string;
  /** The destdir, or `/`. */
  readonly root: string;
  /** The absolute path of the Node.js that runs the installed programs. */
  readonly node: string;
  /** The names of other hotplug scripts that the client replaces, too. */
  readonly scripts: readonly string[];
  readonly say: (line: string) => void;
}

const NOTHING: Manifest = { files: new Map(), conffiles: new Map(), directories: [] };

/** Installs the whole tree, over an older one if there is one. */
export async function install({
  project,
  root,
  node,
  scripts,
  say,
}: InstallOptions): Promise<void> {
  await checkNode(node, root, project);
  if (scripts.length > 0) await checkDivert(project, root, scripts);
  const client = await compileClient(project, node, process.env);
  const addon = await readFile(join(project, ADDON));
  const tree = await planTree(project, node, { client, addon });
  const before = (await readManifest(root)) ?? NOTHING;
  const plain = tree.filter(
    (entry): entry is Exclude<Entry, Conffile> => entry.kind !== 'conffile',
  );
  await refusePackaged(root);
  await refuseForeign(root, plain, before);
  const conffiles = await settleConffiles(root, tree, before);

  const entries = [...plain, ...conffiles.flatMap(({ entry }) => entry ?? [])];
  const directories = [...before.directories];
  for (const path of [MANIFEST, ...entries.map(({ path }) => path)]) {
    directories.push(...(await makeParents(root, path)));
  }
  const files = new Map<string, string | undefined>([
    ...[MANIFEST, ...CODE_CACHES].map((path): [string, undefined] => [path, undefined]),
    ...plain.map((entry): [string, string] => [entry.path, hashOfEntry(entry)]),
    ...conffiles.flatMap(({ offered, hash }): [string, string][] =>
      offered === undefined ? [] : [[offered, hash]],
    ),
  ]);
  // The manifest of all old and new files comes first, so that an interrupted install can be
  // undone.
  const all = new Map([...before.files.keys(), ...files.keys()].map((path) => [path, undefined]));
  const during = { ...before, files: all, directories };
  await writeManifest(root, during);
  await Promise.all(entries.map((entry) => place(root, entry)));
  for (const path of before.files.keys())
    if (!files.has(path)) await rm(below(root, path), { force: true });
  const bygone = await dropConffiles(root, before, conffiles);
  for (const path of bygone)
    say(`${path} has been changed and stays, although nothing ships it any more`);
  const shipped = new Map([
    ...[...before.conffiles].filter(([path]) => bygone.includes(path)),
    ...conffiles.map(({ path, hash }): [string, string] => [path, hash]),
  ]);
  const kept = await dropEmpty(root, directories, [...files.keys(), ...shipped.keys()]);
  await writeManifest(root, { files, conffiles: shipped, directories: kept });

  if (root === '/') {
    await promisify(execFile)(node, [CODE_COMPILER]).catch((error: unknown) => {
      say(`${CODE_COMPILER} has failed, so the programs start slower: ${errorMessage(error)}`);
    });
  }
  if (scripts.length > 0) await divert(root, 'add', scripts);
  say(`${entries.length} files below ${root}, to be run by ${node}`);
  for (const { offered, path } of conffiles) {
    if (offered) say(`${path} has been changed and stays; what is new in it: ${offered}`);
  }
}

function hashOfEntry(entry: Entry): string {
  return hashOf(entry.kind === 'link' ? Buffer.from(entry.target) : entry.bytes);
}

/** Throws if a file exists that this installer has not put there, because it has another owner. */
async function refuseForeign(
  root: string,
  tree: readonly Entry[],
  before: Manifest,
): Promise<void> {
  for (const entry of tree) {
    if (before.files.has(entry.path) || !(await exists(below(root, entry.path)))) continue;
    if (await isInPlace(root, entry)) continue;
    throw new Error(
      `${below(root, entry.path)} is there and has not been put there by this installer: move it away first`,
    );
  }
}

async function settleConffiles(
  root: string,
  tree: readonly Entry[],
  before: Manifest,
): Promise<SettledConffile[]> {
  const conffiles = tree.filter((entry) => entry.kind === 'conffile');
  return await Promise.all(
    conffiles.map((entry) => settleConffile(root, entry, before.conffiles.get(entry.path))),
  );
}

/**
 * Removes configuration files that this version no longer ships. Returns the files that stay
 * because an administrator has changed them.
 */
async function dropConffiles(
  root: string,
  before: Manifest,
  now: readonly SettledConffile[],
): Promise<string[]> {
  const changed: string[] = [];
  for (const [path, hash] of before.conffiles) {
    if (now.some((conffile) => conffile.path === path)) continue;
    const present = await hashOfFile(below(root, path));
    if (present === hash) await rm(below(root, path));
    else if (present !== undefined) changed.push(path);
  }
  return changed;
}

async function writeManifest(root: string, manifest: Manifest): Promise<void> {
  const bytes = Buffer.from(formatManifest(manifest));
  await place(root, { kind: 'file', path: MANIFEST, mode: 0o644, bytes });
}

/** Removes our directories that only an older version needed. Returns the remaining ones. */
async function dropEmpty(
  root: string,
  directories: readonly string[],
  paths: readonly string[],
): Promise<string[]> {
  const isUsed = (directory: string): boolean =>
    paths.some((path) => path.startsWith(`${directory}/`));
  const unused = directories.filter((directory) => !isUsed(directory));
  const left = await removeDirectories(root, unused);
  return directories.filter((directory) => isUsed(directory) || left.includes(directory));
}

/** Removes the empty ones of some directories. Returns the directories that are not empty. */
export async function removeDirectories(
  root: string,
  directories: readonly string[],
): Promise<string[]> {
  const left: string[] = [];
  // In the reverse order, each directory comes before its parent.
  for (const directory of [...directories].sort().reverse()) {
    try {
      await rmdir(below(root, directory));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') continue;
      if (errorCode(error) !== 'ENOTEMPTY') throw error;
      left.push(directory);
    }
  }
  return left;
}
