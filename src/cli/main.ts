#!/usr/bin/env node
// A toolstack waits for this process once for every disk: a hotplug script's bare `add` or `remove`
// loads just what that action needs, and neither the command line parser nor the other commands.
import type { Context, Outcome } from './run.js';

type Action = (context: Context) => Promise<Outcome>;

const ACTIONS: Readonly<Record<string, () => Promise<Action>>> = {
  add: async () => (await import('./add.js')).add,
  remove: async () => (await import('./remove.js')).remove,
};

const words = process.argv.slice(2);
const [word = ''] = words;
const action = words.length === 1 && Object.hasOwn(ACTIONS, word) ? ACTIONS[word] : undefined;
if (action) {
  const { FROM_ENVIRONMENT, run } = await import('./run.js');
  process.exit(await run(FROM_ENVIRONMENT, async (context) => (await action())(context)));
} else {
  const { runCommandLine } = await import('./command-line.js');
  process.exit(await runCommandLine(words));
}
