import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Script } from 'node:vm';
import { build } from 'esbuild';
import { projectRoot } from '../bed/paths.js';
import type { Session } from './globals.js';

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

/** The program, evaluated once: a process that is to run in it has to enter it first. */
export interface Program {
  readonly engine: Engine;
  /** What the modules remember, as it is when they are loaded. */
  readonly remembersNothing: () => readonly unknown[];
  /** What they remember by now. */
  readonly capture: () => readonly unknown[];
  /** From now on they remember this, and nothing else. */
  readonly restore: (memory: readonly unknown[]) => void;
}

/** Evaluates the program in a world. */
export type Start = (globals: Globals) => Program;

/**
 * Bundles the program from its sources, as they are or with a mutant. The bundle is evaluated once, and not
 * for each process: classes that are made anew each time have no code in common that could be optimized. What
 * differs between processes are the few variables in which modules remember something.
 */
export async function bundleEngine(mutant?: Mutant): Promise<Session> {
  let isApplied = mutant === undefined;
  const result = await build({
    entryPoints: [join(projectRoot, 'test/sim/engine.ts')],
    bundle: true,
    write: false,
    outfile: join(projectRoot, 'program.cjs'),
    sourcemap: 'external',
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
  const output = (ending: string): string =>
    result.outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? '';
  const text = output('.cjs');
  const variables = findVariables(text);
  const names = variables.map(({ name }) => name).join(', ');
  const prefix = `(function (module, ${PARAMETERS.join(', ')}) { `;
  const script = new Script(
    `${prefix}${text}
      return {
        engine: module.exports,
        remembersNothing: () => [${variables.map(({ initial }) => `(${initial})`).join(', ')}],
        capture: () => [${names}],
        restore: (memory) => { [${names}] = memory; },
      };
    })`,
    { filename: 'program.cjs' },
  );
  const start: (...values: unknown[]) => Program = script.runInThisContext();
  return {
    start: (globals) => start({ exports: {} }, ...PARAMETERS.map((name) => globals[name])),
    source: { text, map: output('.map'), at: prefix.length },
    program: undefined,
    current: undefined,
  };
}

/** A variable of a module in which it remembers something. */
interface Variable {
  readonly name: string;
  /** Its value when the module is loaded, as an expression. */
  readonly initial: string;
}

/** Something that can be filled. */
const EMPTY =
  /^(?:\/\* @__PURE__ \*\/ )?(?:new (?:Map|Set|WeakMap|WeakSet)\(\)|\[\]|Array\.from\(.*|new Turns\(.*)$/;

/** The variables of all modules that are assigned to later, or that can be filled. esbuild names each differently. */
export function findVariables(text: string): Variable[] {
  const declarations = text.matchAll(/^var ([\w$]+)(?: = (.*))?;$/gm);
  return [...declarations].flatMap(([, name = '', initial]) => {
    const own = `(?<![\\w$.#])${name.replaceAll('$', '\\$')}`;
    const writes = new RegExp(
      `${own} *(?:=(?![=>])|[-+?|]+=|\\+\\+|--)|(?:\\+\\+|--)${own}\\b`,
      'g',
    );
    const isWritten = [...text.matchAll(writes)].length > (initial === undefined ? 0 : 1);
    if (!isWritten && !EMPTY.test(initial ?? '')) return [];
    return [{ name, initial: initial ?? 'undefined' }];
  });
}

function mutate(text: string, { name, find, replace }: Mutant): string {
  const parts = text.split(find);
  if (parts.length !== 2) {
    throw new Error(`what ${name} is to change stands ${parts.length - 1} times in its source`);
  }
  return parts.join(replace);
}
