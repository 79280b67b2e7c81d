import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { projectRoot } from './bed/paths.js';

const SRC = join(projectRoot, 'src');

interface Source {
  /** Below src, e.g. `linux/fd.ts`. */
  readonly name: string;
  /** The first directory, or `.` for a file directly in src. */
  readonly layer: string;
  readonly text: string;
  /** The same without comments and text in quotes. */
  readonly code: string;
  /** What it imports: a name below src without suffix, or a package. */
  readonly imports: readonly string[];
  /** The same without what is imported only as types. */
  readonly values: readonly string[];
}

const TYPE_IMPORT = /^import type [^;]*;$/gm;
const IMPORT = /\bfrom\s+'([^']+)'|\bimport\s+'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;
const NOISE = /\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|(?<![:\\])\/\/[^\n]*/g;

function importsOf(name: string, text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => {
    const target = match[1] ?? match[2] ?? match[3] ?? '';
    if (!target.startsWith('.')) return target;
    return normalize(join(name, '..', target)).replace(/\.js$/, '');
  });
}

function read(name: string): Source {
  const text = readFileSync(join(SRC, name), 'utf8');
  return {
    name,
    layer: layerOf(name),
    text,
    code: text.replace(NOISE, (found) => (found.startsWith('/') ? ' ' : "''")),
    imports: importsOf(name, text),
    values: importsOf(name, text.replace(TYPE_IMPORT, '')),
  };
}

const layerOf = (name: string): string =>
  name.includes('/') ? name.slice(0, name.indexOf('/')) : '.';

const sources = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map(read);

/** From top to bottom: a folder may use those below it, and the errors, which everybody may use. */
const FOLDERS = [
  ...[
    'cli',
    'library',
    'daemon',
    'audit',
    'hotplug',
    'target',
    'sharing',
    'vbd',
    'topology',
    'block',
    'xenstore',
  ],
  ...['linux', 'util'],
];
/** Neighbours that know nothing of each other. */
const STRANGERS: Readonly<Record<string, readonly string[]>> = {
  // Programs of others call the library; the command does not need its checks.
  cli: ['library'],
  // It knows device nodes and what the kernel says of them, and nothing of guests.
  block: ['xenstore'],
  topology: ['xenstore'],
  // The grammar opens nothing and asks nobody; it shares a few types with those who do.
  target: ['vbd', 'topology', 'xenstore', 'linux'],
};
const ARROWS: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  FOLDERS.map((folder, at) => [
    folder,
    FOLDERS.slice(at + 1).filter((below) => !STRANGERS[folder]?.includes(below)),
  ]),
);
/** The library's entry: it exports from everywhere, but never a command. */
const ENTRY = 'index.ts';
const ERRORS = 'errors';

const namesWhere = (holds: (source: Source) => boolean): string[] =>
  sources.filter(holds).map(({ name }) => name);

describe('The layers', () => {
  it('are those that are known here, and all of the sources are in them', () => {
    const known = new Set([...Object.keys(ARROWS), '.']);
    assert.deepEqual(
      namesWhere(({ layer }) => !known.has(layer)),
      [],
    );
    assert.ok(sources.length > 30, `only ${sources.length} sources were found`);
  });

  for (const [layer, below] of Object.entries(ARROWS)) {
    it(`${layer} uses ${['errors', ...below].join(', ')} only`, () => {
      const allowed = new Set([layer, ...below]);
      const wrong = sources
        .filter((source) => source.layer === layer)
        .flatMap(({ name, imports }) =>
          imports
            .filter((target) => sources.some((source) => source.name === `${target}.ts`))
            .filter((target) => target !== ERRORS && !allowed.has(layerOf(target)))
            .map((target) => `${name} -> ${target}`),
        );
      assert.deepEqual(wrong, []);
    });
  }

  it('have relative imports that all lead to a source', () => {
    const wrong = sources.flatMap(({ name, text }) =>
      [...text.matchAll(IMPORT)]
        .map((match) => match[1] ?? match[2] ?? match[3] ?? '')
        .filter((target) => target.startsWith('.'))
        .map((target) => normalize(join(name, '..', target)).replace(/\.js$/, '.ts'))
        .filter((target) => !sources.some((source) => source.name === target)),
    );
    assert.deepEqual(wrong, []);
  });

  it('let nobody but the commands import a command', () => {
    const users = namesWhere(
      ({ layer, imports }) =>
        layer !== 'cli' && imports.some((target) => layerOf(target) === 'cli'),
    );
    assert.deepEqual(users, []);
    assert.ok(
      sources.every(({ name, layer }) => layer !== '.' || [ENTRY, `${ERRORS}.ts`].includes(name)),
    );
  });

  it('have no circle among the files', () => {
    const graph = new Map(sources.map(({ name, values }) => [name, values.map((t) => `${t}.ts`)]));
    const done = new Set<string>();
    const visit = (name: string, path: readonly string[]): void => {
      assert.ok(!path.includes(name), `${[...path, name].join(' -> ')} is a circle`);
      if (done.has(name)) return;
      for (const target of graph.get(name) ?? []) visit(target, [...path, name]);
      done.add(name);
    };
    for (const name of graph.keys()) visit(name, []);
  });
});

describe('The outside world is met in few places', () => {
  it('koffi in one file of src/linux', () => {
    assert.deepEqual(
      namesWhere(({ text }) => /'koffi'/.test(text)),
      ['linux/socket.ts'],
    );
  });

  it('the addon in one file of src/linux, which is all that XenStore takes from there, with errnos and the trace', () => {
    const files = namesWhere(
      ({ name, code, text }) =>
        // The start of a program gives `require` to the program, and loads nothing by it.
        name !== 'cli/start.ts' &&
        ((/createRequire|\bdlopen\b/.test(code) && !/'koffi'/.test(text)) || /\.node'/.test(text)),
    );
    assert.equal(files.length, 1, files.join(', '));
    assert.match(files[0] ?? '', /^linux\//);
    const taken = sources
      .filter(({ layer }) => layer === 'xenstore')
      .flatMap(({ imports }) => imports.filter((target) => layerOf(target) === 'linux'));
    assert.deepEqual([...new Set(taken)].sort(), ['linux/addon', 'linux/errno', 'linux/trace']);
  });

  it('yargs in src/cli', () => {
    const files = namesWhere(({ imports }) =>
      imports.some((target) => /^yargs(\/|$)/.test(target)),
    );
    assert.ok(files.length > 0);
    assert.ok(
      files.every((name) => name.startsWith('cli/')),
      files.join(', '),
    );
  });

  it('output and the end of the process in src/cli and src/daemon', () => {
    const loud = /\bconsole\.|\bprocess\.(exit|exitCode|abort|stdout|stderr|emitWarning)\b/;
    const files = namesWhere(
      ({ code, layer }) => loud.test(code) && !['cli', 'daemon'].includes(layer),
    );
    assert.deepEqual(files, []);
  });
});

describe('Every source', () => {
  for (const [what, pattern] of [
    ['any', /[:<|&,(=]\s*any\b|\bas\s+any\b|\bany\[\]/],
    ['a default export', /\bexport\s+default\b/],
  ] as const) {
    it(`does without ${what}`, () => {
      assert.deepEqual(
        namesWhere(({ code }) => pattern.test(code)),
        [],
      );
    });
  }

  it('does without comments that silence compiler or linter', () => {
    const silencer = /@ts-(ignore|nocheck|expect-error)|biome-ignore|eslint-disable/;
    assert.deepEqual(
      namesWhere(({ text }) => silencer.test(text)),
      [],
    );
  });

  it('has at most 250 lines', () => {
    const long = sources
      .map(({ name, text }) => ({ name, lines: text.trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > 250);
    assert.deepEqual(long, []);
  });
});
