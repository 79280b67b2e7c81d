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
import { buildRpm } from './rpm.js';
import { hasCommand } from './run.js';
import { sourceDate } from './source-date.js';
import type { PackageSource } from './stage.js';
import { buildTar } from './tar.js';

const USAGE = `usage: npm run package -- [--output DIR] [--version VERSION] [deb] [rpm] [tar]

  --output DIR       where the packages go; by default dist/packages
  --version VERSION  of the packages; by default that of package.json

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
  const source = await prepare(project, output, values.version);
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

async function prepare(
  project: string,
  output: string,
  version: string | undefined,
): Promise<PackageSource> {
  const record = JSON.parse(await readFile(join(project, 'package.json'), 'utf8')) as {
    version: string;
    engines: { node: string };
  };
  const tree = await planTree(project, NODE, await compileForPackages(project, NODE));
  return {
    version: version ?? record.version,
    node: record.engines.node.replace('>=', ''),
    tree: await stripTree(tree),
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
