import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';

/** An npm package of which at least a part is shipped. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** The licence as an SPDX expression. */
  readonly license: string;
  readonly homepage: string | undefined;
  /** The directory of the package, relative to the project. */
  readonly directory: string;
}

/**
 * Lists the files that are not bundled but loaded by Node.js, as paths relative to the project.
 * These are the files of koffi, which finds its compiled part on its own. Lists only the files that
 * koffi loads on this machine, and the package.json files by which Node.js finds them.
 */
export function listLoadedFiles(project: string): string[] {
  const loaded = listKoffiModules(project);
  const directories = new Set(loaded.map((name) => packageDirectory(name)));
  const records = [...directories].map((directory) => join(directory, 'package.json'));
  return [...loaded, ...records].sort();
}

/** Lists the packages that `listLoadedFiles` takes files from, and the packages in the bundles. */
export function listShippedPackages(project: string): NpmPackage[] {
  const directories = new Set([
    ...listKoffiModules(project).map(packageDirectory),
    ...['block-diskseq', 'xen-blkback'].flatMap((name) => listBundled(project, name)),
    // The headers of this package are compiled into the addon.
    'node_modules/node-addon-api',
  ]);
  return [...directories].sort().map((directory) => readPackage(project, directory));
}

function listKoffiModules(project: string): string[] {
  const require = createRequire(join(project, 'package.json'));
  const before = new Set(Object.keys(require.cache));
  require('koffi');
  const loaded = Object.keys(require.cache)
    .filter((path) => path.includes('/node_modules/') && (!before.has(path) || isKoffi(path)))
    .map((path) => relative(project, path));
  if (!loaded.some((path) => path.endsWith('.node'))) {
    throw new Error('koffi has loaded no compiled part: is it another version?');
  }
  return loaded;
}

const isKoffi = (path: string): boolean => /\/node_modules\/(@koromix\/)?koffi/.test(path);

/** Lists the packages in a bundle, which esbuild has recorded. */
function listBundled(project: string, bundle: string): string[] {
  const record = join(project, `dist/code/${bundle}.meta.json`);
  const { inputs } = JSON.parse(readFileSync(record, 'utf8')) as {
    inputs: Record<string, unknown>;
  };
  return Object.keys(inputs)
    .filter((name) => name.startsWith('node_modules/'))
    .map(packageDirectory);
}

/**
 * Returns `node_modules/@a/b` for `node_modules/@a/b/c/d.js`. Also handles packages inside
 * packages.
 */
function packageDirectory(name: string): string {
  const [, directory] = /^((?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(name) ?? [];
  if (directory === undefined) throw new Error(`${name} is in no npm package`);
  return directory;
}

function readPackage(project: string, directory: string): NpmPackage {
  const text = readFileSync(join(project, directory, 'package.json'), 'utf8');
  const { name, version, license, homepage } = JSON.parse(text) as Record<string, unknown>;
  if (typeof license !== 'string') throw new Error(`${directory} names no licence`);
  return {
    name: String(name),
    version: String(version),
    license,
    homepage: typeof homepage === 'string' ? homepage : undefined,
    directory,
  };
}
