import { readFile, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { checkNode } from '../node.js';
import { type Entry, LIBRARY } from '../tree.js';
import { run } from './run.js';

/** Where a package has the Node.js that it brings along. */
export const OWN_NODE: string = `${LIBRARY}/node`;

/** A Node.js that goes into a package. */
export interface OwnNode {
  /** `20.19.0` */
  readonly version: string;
  readonly entries: readonly Entry[];
}

/** Reads the Node.js at `path`, with its licence. Throws for one that does not run on its own. */
export async function readOwnNode(project: string, path: string): Promise<OwnNode> {
  await checkNode(path, '/', project);
  const file = await realpath(path);
  const needed = await run('readelf', ['--dynamic', '--wide', file]);
  const libraries = [...needed.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name = '']) => name);
  const others = libraries.filter(
    (name) => !/^(lib(dl|stdc\+\+|m|gcc_s|pthread|c|rt|atomic)\.so|ld-linux)/.test(name),
  );
  if (others.length > 0) {
    throw new Error(
      `${path} needs ${others.join(', ')} of its distribution: name a Node.js that runs on its own, such as one of nodejs.org (--node PATH)`,
    );
  }
  const version = (await run(file, ['--version'])).trim().replace(/^v/, '');
  return {
    version,
    entries: [
      { kind: 'file', path: OWN_NODE, mode: 0o755, bytes: await readFile(file) },
      {
        kind: 'file',
        path: `${LIBRARY}/node.LICENSE`,
        mode: 0o644,
        bytes: await readLicence(path, file),
      },
    ],
  };
}

/** Beside the program in an archive of nodejs.org, among the documents of a package. */
async function readLicence(path: string, file: string): Promise<Buffer> {
  const places = [
    join(dirname(file), '../LICENSE'),
    join(dirname(file), '../share/doc/nodejs/LICENSE'),
    '/usr/share/doc/nodejs/LICENSE',
    '/usr/share/doc/nodejs/copyright',
  ];
  for (const place of places) {
    const text = await readFile(place).catch(() => undefined);
    if (text !== undefined) return text;
  }
  throw new Error(
    `there is no licence of ${path}: it must not be shipped without one; one of these is needed: ${places.join(', ')}`,
  );
}
