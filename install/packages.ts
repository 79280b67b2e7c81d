import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { listFiles } from './tree.js';

/** What Node loads, and what a licence asks to be kept with it. */
const RUNTIME = /\.(js|cjs|mjs|json)$/;
const LICENCE = /(^|\/)(licen[cs]e|copying|notice)[^/]*$/i;

/**
 * Files of the npm packages that are needed at run time, as paths below the project, among them just
 * those compiled parts that this machine loads: koffi brings one for each C library.
 */
export async function listPackageFiles(project: string): Promise<string[]> {
  const compiled = new Set(listLoadedAddons(project));
  const packages = await listProductionPackages(project);
  const lists = await Promise.all(
    packages.map(async (directory) => {
      // Packages inside packages stand in the list themselves.
      const own = (name: string): boolean => !/(^|\/)node_modules\//.test(name);
      const names = await listFiles(join(project, directory), own);
      return names.map((name) => join(directory, name));
    }),
  );
  return lists
    .flat()
    .filter((name) => RUNTIME.test(name) || LICENCE.test(name) || compiled.has(name));
}

/** By npm's own record of what it has put into node_modules, and for what. */
async function listProductionPackages(project: string): Promise<string[]> {
  const record = join(project, 'node_modules/.package-lock.json');
  const { packages } = JSON.parse(await readFile(record, 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
  };
  return Object.entries(packages)
    .filter(([, { dev, devOptional }]) => !dev && !devOptional)
    .map(([directory]) => directory);
}

/** Loads koffi and sees which of its compiled files that took. */
function listLoadedAddons(project: string): string[] {
  const require = createRequire(join(project, 'package.json'));
  require('koffi');
  const loaded = Object.keys(require.cache).filter((path) => path.endsWith('.node'));
  if (loaded.length === 0)
    throw new Error('koffi has loaded no compiled part: is it another version?');
  return loaded.map((path) => relative(project, path));
}
