import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import type { ParsedWords } from './parse-words.js';
import { loadSettings } from './setting-sources.js';
import type { Settings } from './settings.js';

// How a command is called, what its action works with, and what the action returns.

/** The words and options with which a command is called. */
export interface Invocation {
  /** The vbd as it is given on the command line, if it is given. */
  readonly vbd?: string | undefined;
  readonly json?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  /** All words of the command line that are no options, including the vbd. */
  readonly operands?: readonly string[] | undefined;
  /** All options of the command line. */
  readonly options?: ParsedWords['options'] | undefined;
  /** Whether the vbd may belong to another backend domain. */
  readonly remote?: boolean | undefined;
  /** Whether a toolstack waits for the result, and looks for it in XenStore and in the logs. */
  readonly hotplug?: boolean | undefined;
  /** Reads the settings. Throws an error if they are invalid. */
  readonly settings: () => Settings;
}

/** The invocation of a hotplug script, which gets everything from the environment. */
export const FROM_ENVIRONMENT: Invocation = {
  hotplug: true,
  settings: () => loadSettings(process.env),
};

/** The objects that an action works with. */
export interface StoreContext {
  readonly store: Xenstore;
  readonly settings: Settings;
  readonly signal: AbortSignal;
  readonly invocation: Invocation;
  /** Reports a step with its time, if steps are wanted. */
  readonly onStep: (step: string, detail: string) => void;
}

/** The objects that an action on one vbd works with. */
export interface Context extends StoreContext {
  readonly vbd: VbdPath;
}

/** The objects that an action needs to answer a question. */
export interface QuestionContext extends StoreContext {
  /** The reason why XenStore cannot be asked. In this case, `store` seems to be empty. */
  readonly unreachable?: string | undefined;
}

/** The result of an action, for `--json` and for people. */
export interface Outcome {
  readonly text: string;
  readonly json: object;
  /** Prints the text only if `--verbose` is set, because the exit status says the same. */
  readonly quiet?: boolean;
  /** The exit status. The default is 0. */
  readonly status?: number;
}
