import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { Script } from 'node:vm';
import { build } from 'esbuild';
import { projectRoot } from '../bed/paths.js';
import type { Feature } from './features.js';
import type { Session } from './globals.js';

export type Engine = typeof import('./engine.js');

/** A small change that makes the program wrong. */
export interface Mutant {
  readonly name: string;
  /** The path of the file, relative to src. */
  readonly file: string;
  /** A text that occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** What a schedule has to have to find it. */
  readonly needs?: Feature | readonly Feature[];
}

/** Everything outside the program that the program can reach: the parameters of the bundle. */
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

/** The program, evaluated once. A process must enter the program before it runs in it. */
export interface Program {
  readonly engine: Engine;
  /** Returns the values of the modules' variables as they are after loading. */
  readonly remembersNothing: () => readonly unknown[];
  /** Returns the present values of these variables. */
  readonly capture: () => readonly unknown[];
  /** Sets these variables. */
  readonly restore: (memory: readonly unknown[]) => void;
}

/** A function that evaluates the program with the given globals. */
export type Start = (globals: Globals) => Program;

/**
 * Bundles the program from its sources, with a mutant if one is given. The bundle is evaluated
 * once, and not for each process, because classes that are made anew each time share no optimized
 * code. The few variables in which modules remember something are exchanged when another process
 * runs.
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

/** A variable in which a module remembers something. */
interface Variable {
  readonly name: string;
  /** The expression of its value when the module is loaded. */
  readonly initial: string;
}

/** Matches the expression of an empty container, which can be filled later. */
const EMPTY =
  /^(?:\/\* @__PURE__ \*\/ )?(?:new (?:Map|Set|WeakMap|WeakSet)\(\)|\[\]|Array\.from\(.*|new FairQueue\(.*)$/;

/**
 * Finds the variables of all modules that are assigned to later, or that can be filled. esbuild
 * gives each variable another name.
 */
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
