// The files of an installation and their places. Reads the checkout, and writes nothing.

import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { PROGRAMS as CODE_PROGRAMS, cacheName } from '../src/cli/code-cache.js';
import { CONFIG_FILE } from '../src/cli/read-config.js';
import { writeCopyright } from './copyright.js';
import { planCompletion } from './manual/completion.js';
import { planManual } from './manual/pages.js';
import { listLoadedFiles } from './packages.js';

/** The directory of all files that need no other place. */
export const LIBRARY = '/usr/lib/xen-blkback';
/** The program that the compiled client runs if there is no daemon. */
const ONE_SHOT = 'dist/block-diskseq.cjs';
export const PROGRAM: string = `${LIBRARY}/${ONE_SHOT}`;
/** The compiled client. Every hotplug script of ours is a link to it. */
export const CLIENT = '/usr/libexec/xen-blkback/block-diskseq';
/** The directory of programs that only our other programs run, and not people. */
export const PROGRAMS: string = dirname(CLIENT);
export const SCRIPTS = '/etc/xen/scripts';
export const HOTPLUG_SCRIPT: string = `${SCRIPTS}/block-diskseq`;

export const UNITS = '/usr/lib/systemd/system';
/** The files in which shells look. Debian's zsh has a directory of its own for packages. */
export const COMPLETION = {
  bash: '/usr/share/bash-completion/completions/xen-blkback',
  zsh: '/usr/share/zsh/vendor-completions/_xen-blkback',
} as const;
export const DOCUMENTS = '/usr/share/doc/xen-blkback';
/** The path of the addon in the checkout, and below LIBRARY. */
export const ADDON = 'native/build/Release/blkback.node';
const COMMAND = 'dist/xen-blkback.cjs';
/** The program that writes the code caches of the other programs. */
const COMPILE_CODE = 'dist/compile-code.cjs';
export const CODE_COMPILER: string = `${LIBRARY}/${COMPILE_CODE}`;
/** What ONE_SHOT and COMMAND start. */
const CODE = CODE_PROGRAMS.map((name) => `dist/code/${name}.cjs`);
/** The files that CODE_COMPILER writes. */
export const CODE_CACHES: readonly string[] = CODE.map((name) => `${LIBRARY}/${cacheName(name)}`);

interface Content {
  /** The absolute path, without the destdir. */
  readonly path: string;
  readonly mode: number;
  readonly bytes: Buffer;
}

/** A configuration file. Once it is installed, it belongs to the administrator. */
export type Conffile = Content & { readonly kind: 'conffile' };

/** One file or link of the installed tree. */
export type Entry =
  | Conffile
  | (Content & { readonly kind: 'file' })
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

/** The programs that are compiled for the target machine. */
export interface Compiled {
  /** The hotplug client, from the sources that install/client.ts lists. */
  readonly client: Buffer;
  /** The Node.js addon, from native/binding.gyp. */
  readonly addon: Buffer;
}

/**
 * Returns the whole tree. `node` is the absolute path of the Node.js that runs the installed
 * programs.
 */
export async function planTree(
  project: string,
  node: string,
  { client, addon }: Compiled,
): Promise<Entry[]> {
  const read = (name: string): Promise<Buffer> => readFile(join(project, name));
  const library = async (name: string): Promise<Entry> =>
    file(`${LIBRARY}/${name}`, await read(name));
  // Pages lead to one another, and to these.
  const documents = ['CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md'];
  for (const directory of ['docs', 'examples']) {
    const names = await listFiles(join(project, directory), () => true);
    documents.push(...names.map((name) => `${directory}/${name}`));
  }
  return [
    ...(await Promise.all([...listLoadedFiles(project), ...CODE].map(library))),
    file(`${LIBRARY}/package.json`, Buffer.from(packageJson(await read('package.json')))),
    file(`${LIBRARY}/${ADDON}`, addon),
    ...(await Promise.all(
      [ONE_SHOT, COMMAND, COMPILE_CODE].map(async (name) =>
        file(`${LIBRARY}/${name}`, withInterpreter(await read(name), node), 0o755),
      ),
    )),
    {
      kind: 'link',
      path: '/usr/bin/xen-blkback',
      target: relative('/usr/bin', `${LIBRARY}/${COMMAND}`),
    },
    file(CLIENT, client, 0o755),
    { kind: 'link', path: HOTPLUG_SCRIPT, target: CLIENT },
    ...(await Promise.all(
      ['attached-vbds', 'divert'].map(async (name) =>
        file(`${PROGRAMS}/${name}`, await read(`install/${name}`), 0o755),
      ),
    )),
    ...(await planUnits(read)),
    ...(await planManual(project)).map(({ name, section, text }) =>
      file(`/usr/share/man/man${section}/${name}.${section}`, Buffer.from(text)),
    ),
    ...(await Promise.all(
      (['bash', 'zsh'] as const).map(async (shell) =>
        file(COMPLETION[shell], Buffer.from(await planCompletion(project, shell))),
      ),
    )),
    file(`${DOCUMENTS}/copyright`, Buffer.from(writeCopyright(project))),
    ...(await Promise.all(
      documents.map(async (name) => file(`${DOCUMENTS}/${name}`, await read(name))),
    )),
    {
      kind: 'conffile',
      path: CONFIG_FILE,
      mode: 0o644,
      bytes: await read('install/etc-xen/xen-blkback.conf'),
    },
  ];
}

/** Returns the units of systemd. The settings that the services share are a drop-in of each. */
async function planUnits(read: (name: string) => Promise<Buffer>): Promise<Entry[]> {
  const unit = async (source: string, name = source): Promise<Entry> =>
    file(`${UNITS}/${name}`, await read(`install/systemd/${source}`));
  const services = ['xen-blkback.service', 'xen-blkback-driverdomain.service'];
  return await Promise.all([
    unit('xen-blkback.socket'),
    unit('xen-blkback-metrics.service'),
    unit('xen-blkback-metrics.timer'),
    ...services.flatMap((name) => [unit(name), unit('common.conf', `${name}.d/50-common.conf`)]),
  ]);
}

function file(path: string, bytes: Buffer, mode = 0o644): Entry {
  return { kind: 'file', path, mode, bytes };
}

/** Lists the regular files below `directory` whose names are wanted, in a stable order. */
export async function listFiles(
  directory: string,
  wanted: (name: string) => boolean,
): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .filter(wanted)
    .sort();
}

/**
 * Returns the parts of package.json that Node needs for loading, and that tell people what the
 * package is. Scripts and the library are left out.
 */
function packageJson(whole: Buffer): string {
  const { name, version, description, license, type, engines } = JSON.parse(
    whole.toString('utf8'),
  ) as Record<string, unknown>;
  return `${JSON.stringify({ name, version, description, license, type, engines }, null, 2)}\n`;
}

/**
 * Returns a program with the path of Node.js in its #! line, so that it does not depend on PATH.
 */
function withInterpreter(program: Buffer, node: string): Buffer {
  const text = program.toString('utf8');
  if (!text.startsWith('#!')) throw new Error('a program has no #! line: has the build changed?');
  return Buffer.from(text.replace(/^#!.*/, `#!${node}`));
}
