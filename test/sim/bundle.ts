import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Script } from 'node:vm';
import { build } from 'esbuild';
import { projectRoot } from '../bed/paths.js';

export type Engine = typeof import('./engine.js');

/** A small patch of the program that makes it wrong. */
export interface Mutant {
  readonly name: string;
  /** Below src. */
  readonly file: string;
  /** Text of that file, which stands there once. */
  readonly find: string;
  readonly replace: string;
}

/** All of the world that the program can reach, in the order of the bundle's parameters. */
export interface Globals {
  readonly require: (name: string) => unknown;
  readonly process: unknown;
  readonly setTimeout: unknown;
  readonly clearTimeout: unknown;
  readonly setImmediate: unknown;
  readonly queueMicrotask: unknown;
  readonly AbortSignal: unknown;
  readonly Math: unknown;
}

const PARAMETERS: readonly (keyof Globals)[] = [
  ...(['require', 'process', 'setTimeout', 'clearTimeout', 'setImmediate', 'AbortSignal'] as const),
  ...(['queueMicrotask', 'Math'] as const),
];

/** Starts the program once more, with nothing in common with the other times. */
export type Start = (globals: Globals) => Engine;

/** Bundles the program from its sources, as they are or with a mutant. */
export async function bundleEngine(mutant?: Mutant): Promise<Start> {
  let isApplied = mutant === undefined;
  const result = await build({
    entryPoints: [join(projectRoot, 'test/sim/engine.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['koffi'],
    define: { 'import.meta.url': '"file:///simulated/dist/program.cjs"' },
    logLevel: 'error',
    plugins: [
      {
        name: 'mutant',
        setup: ({ onLoad }) => {
          onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
            if (mutant === undefined || relative(join(projectRoot, 'src'), path) !== mutant.file) {
              return undefined;
            }
            isApplied = true;
            return { contents: mutate(readFileSync(path, 'utf8'), mutant), loader: 'ts' };
          });
        },
      },
    ],
  });
  if (!isApplied)
    throw new Error(`no source is ${mutant?.file}, which ${mutant?.name} is to change`);
  const text = result.outputFiles[0]?.text ?? '';
  const script = new Script(
    `(function (module, ${PARAMETERS.join(', ')}) { ${text}\nreturn module.exports; })`,
    { filename: 'program.cjs' },
  );
  const start: (...values: unknown[]) => Engine = script.runInThisContext();
  return (globals) => start({ exports: {} }, ...PARAMETERS.map((name) => globals[name]));
}

function mutate(text: string, { name, find, replace }: Mutant): string {
  const parts = text.split(find);
  if (parts.length !== 2) {
    throw new Error(`what ${name} is to change stands ${parts.length - 1} times in its source`);
  }
  return parts.join(replace);
}
