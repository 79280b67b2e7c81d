#!/usr/bin/env node
// The program of npm run package, which docs/install.md describes in the section "Packages".
import { mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { errorMessage } from '../../src/errors.js';
import { planTree } from '../tree.js';
import { compileForPackages, stripTree } from './compile.js';
import { buildDeb } from './deb.js';
import { OWN_NODE, type OwnNode, readOwnNode } from './own-node.js';
import { buildRpm } from './rpm.js';
import { hasCommand } from './run.js';
import { sourceDate } from './source-date.js';
import type { PackageSource } from './stage.js';
import { buildTar } from './tar.js';

const USAGE = `usage: npm run package -- [--output DIR] [--version VERSION] [--with-node [--node PATH]]
                          [deb] [rpm] [tar]

  --output DIR       where the packages go; by default dist/packages
  --version VERSION  of the packages; by default that of package.json
  --with-node        the packages bring their own Node.js: their version ends with +node and its version
  --node PATH        the one that they bring; by default the one that runs this

Without names all three are made; the rpm only where rpmbuild is there.
`;

/** The path at which packages of Node.js install it. */
const NODE = '/usr/bin/node';
const BUILDERS = { deb: buildDeb, rpm: buildRpm, tar: buildTar } as const;
type Kind = keyof typeof BUILDERS;

async function main(words: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      output: { type: 'string' },
      version: { type: 'string' },
      'with-node': { type: 'boolean' },
      node: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const kinds = positionals.length === 0 ? await usualKinds() : positionals.map(requireKind);
  const project = fileURLToPath(new URL('../../../', import.meta.url));
  const output = resolve(values.output ?? join(project, 'dist/packages'));
  await mkdir(output, { recursive: true });
  if (values.node !== undefined && !values['with-node']) {
    throw new Error(`--node goes with --with-node\n${USAGE}`);
  }
  const own = values['with-node']
    ? await readOwnNode(project, values.node ?? process.execPath)
    : undefined;
  const source = await prepare({ project, output, version: values.version, own });
  for (const kind of kinds) process.stdout.write(`${await BUILDERS[kind](source)}\n`);
}

async function usualKinds(): Promise<Kind[]> {
  if (await hasCommand('rpmbuild')) return ['deb', 'rpm', 'tar'];
  process.stderr.write('package: rpmbuild is not there (Debian package rpm): no rpm is made\n');
  return ['deb', 'tar'];
}

function requireKind(word: string): Kind {
  if (word === 'deb' || word === 'rpm' || word === 'tar') return word;
  throw new Error(`${word}: deb, rpm or tar is needed\n${USAGE}`);
}

async function prepare(wanted: {
  readonly project: string;
  readonly output: string;
  readonly version: string | undefined;
  readonly own: OwnNode | undefined;
}): Promise<PackageSource> {
  const { project, output, own } = wanted;
  const record = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as {
    version: string;
    engines: { node: string };
  };
  const version = wanted.version ?? record.version;
  const node = own === undefined ? NODE : OWN_NODE;
  const tree = await planTree(project, node, await compileForPackages(project, node));
  return {
    version: own === undefined ? version : `${version}+node${own.version}`,
    node: own === undefined ? record.engines.node.replace('>=', '') : undefined,
    tree: await stripTree([...tree, ...(own?.entries ?? [])]),
    project,
    date: await sourceDate(project, process.env),
    output,
  };
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`package: ${errorMessage(error)}\n`);
  process.exitCode = 1;
}
