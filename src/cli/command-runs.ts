import type { Context, Invocation, Outcome, QuestionContext, StoreContext } from './invocation.js';
import type { ParsedWords } from './parse-words.js';
import { NAMES } from './read-config.js';
import { run, runOnStore, runQuestion } from './run.js';
import { type GivenOptions, loadSettings } from './setting-sources.js';

// How the command line runs the action of a command, whose module it loads only then.

/** Runs an action on one vbd, which may belong to another backend domain if `remote` is set. */
export function onVbd(
  load: () => Promise<(context: Context) => Promise<Outcome>>,
  { remote = false } = {},
): RunCommand {
  return async (words) => {
    const action = await load();
    return await run({ ...toInvocation(words), remote }, action);
  };
}

/** Runs an action that is not about one vbd. */
export function onStore(
  load: () => Promise<(context: StoreContext) => Promise<Outcome>>,
): RunCommand {
  return async (words) => {
    const action = await load();
    return await runOnStore(toInvocation(words), action);
  };
}

/** Runs a command with the words of its command line, and returns the exit status. */
export type RunCommand = (words: ParsedWords) => Promise<number>;

/** The question that `check` and `inspect` answer. */
export interface TargetQuestion {
  readonly target: string;
  readonly mode: string;
  readonly frontend: string | undefined;
}

/** Runs an action that answers a question about a target. */
export function onTarget(
  load: () => Promise<(context: QuestionContext, question: TargetQuestion) => Promise<Outcome>>,
): RunCommand {
  return async (words) => {
    const action = await load();
    const { mode = 'w', frontend } = words.options;
    const question = { target: words.operands[0] ?? '', mode, frontend };
    return await runQuestion(toInvocation(words), (context) => action(context, question));
  };
}

function toInvocation({ options, operands }: ParsedWords): Invocation {
  const given: GivenOptions = Object.fromEntries(
    Object.entries(options).filter(([name]) => NAMES.some((known) => known === name)),
  );
  return {
    vbd: operands[0],
    operands,
    options,
    json: options.json !== undefined,
    dryRun: options['dry-run'] !== undefined,
    verbose: options.verbose !== undefined,
    settings: () => loadSettings(process.env, given),
  };
}
