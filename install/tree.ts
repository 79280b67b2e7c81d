// What an installation consists of, and where it goes. Reads the checkout; writes nothing.

import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { CONFIG_FILE } from '../src/cli/setting-sources.js';
import { listPackageFiles } from './packages.js';

/** Everything that is not somewhere else for a reason. */
export const LIBRARY = '/usr/lib/xen-blkback';
/** What the compiled client runs where there is no daemon. */
export const PROGRAM: string = `${LIBRARY}/dist/block-diskseq.cjs`;
export const HOTPLUG_SCRIPT = '/etc/xen/scripts/block-diskseq';

const UNITS = '/usr/lib/systemd/system';
const DOCUMENTS = '/usr/share/doc/xen-blkback';
const COMMAND = 'dist/xen-blkback.cjs';

interface Content {
  /** Absolute, without destdir. */
  readonly path: string;
  readonly mode: number;
  readonly bytes: Buffer;
}

/** A file that belongs to the administrator once it is there. */
export type Conffile = Content & { readonly kind: 'conffile' };

/** One name of the installed tree. */
export type Entry =
  | Conffile
  | (Content & { readonly kind: 'file' })
  | { readonly kind: 'link'; readonly path: string; readonly target: string };

/** The whole tree. `client` is the compiled hotplug client; `node` what is to run the rest. */
export async function planTree(project: string, node: string, client: Buffer): Promise<Entry[]> {
  const read = (name: string): Promise<Buffer> => readFile(join(project, name));
  const library = async (name: string): Promise<Entry> =>
    file(`${LIBRARY}/${name}`, await read(name));
  // By the sources: what was compiled from one that is gone may still lie in dist.
  const sources = await listFiles(join(project, 'src'), (name) => name.endsWith('.ts'));
  const compiled = sources.map((name) => join('dist/src', name.replace(/\.ts$/, '.js')));
  const plain = [
    'LICENSE',
    'dist/block-diskseq.cjs',
    ...compiled,
    ...(await listPackageFiles(project)),
  ];
  const documents = await listFiles(join(project, 'docs'), () => true);
  return [
    ...(await Promise.all(plain.map(library))),
    file(`${LIBRARY}/package.json`, Buffer.from(packageJson(await read('package.json')))),
    await library('native/build/Release/blkback.node'),
    file(`${LIBRARY}/${COMMAND}`, withInterpreter(await read(COMMAND), node), 0o755),
    {
      kind: 'link',
      path: '/usr/bin/xen-blkback',
      target: relative('/usr/bin', `${LIBRARY}/${COMMAND}`),
    },
    file(HOTPLUG_SCRIPT, client, 0o755),
    ...(await planUnits(read)),
    file(`${DOCUMENTS}/README.md`, await read('README.md')),
    ...(await Promise.all(
      documents.map(async (name) => file(`${DOCUMENTS}/docs/${name}`, await read(`docs/${name}`))),
    )),
    {
      kind: 'conffile',
      path: CONFIG_FILE,
      mode: 0o644,
      bytes: await read('install/etc-xen/xen-blkback.conf'),
    },
  ];
}

/** systemd's units; what the services have in common is a drop-in of each. */
async function planUnits(read: (name: string) => Promise<Buffer>): Promise<Entry[]> {
  const unit = async (source: string, name = source): Promise<Entry> =>
    file(`${UNITS}/${name}`, await read(`install/systemd/${source}`));
  const services = ['xen-blkback.service', 'xen-blkback-driverdomain.service'];
  return await Promise.all([
    unit('xen-blkback.socket'),
    ...services.flatMap((name) => [unit(name), unit('common.conf', `${name}.d/50-common.conf`)]),
  ]);
}

function file(path: string, bytes: Buffer, mode = 0o644): Entry {
  return { kind: 'file', path, mode, bytes };
}

/** Names below `directory` that are regular files and wanted, in a stable order. */
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

/** What Node needs to load it, and people to know what it is; no scripts, no development. */
function packageJson(whole: Buffer): string {
  const { name, version, description, license, type, engines, exports, dependencies } = JSON.parse(
    whole.toString('utf8'),
  ) as Record<string, unknown>;
  const kept = { name, version, description, license, type, engines, exports, dependencies };
  return `${JSON.stringify(kept, null, 2)}\n`;
}

/** A program that finds its interpreter also where PATH does not lead to it. */
function withInterpreter(program: Buffer, node: string): Buffer {
  const text = program.toString('utf8');
  if (!text.startsWith('#!')) throw new Error(`${COMMAND} has no #! line: has the build changed?`);
  return Buffer.from(text.replace(/^#!.*/, `#!${node}`));
}
