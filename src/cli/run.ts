import { HotplugError } from '../hotplug/hotplug-error.js';
import type { GuestDisk } from '../vbd/find-vbd.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { XenstoreError } from '../xenstore/xenstore-error.js';
import { connect, tellToolstack } from './connect.js';
import { statusOf, statusOfQuestion } from './exit-status.js';
import { logFailure } from './log.js';
import { print } from './output.js';
import type { ParsedWords } from './parse-words.js';
import { printFailure, printJson, withRemedy } from './result.js';
import { loadSettings } from './setting-sources.js';
import { SETTINGS, type Settings } from './settings.js';
import { Steps } from './steps.js';
import { otherDisk, parseGuestDisk, resolveVbd } from './vbd-argument.js';

/** What a command is called with. */
export interface Invocation {
  /** The backend path given on the command line, if one was. */
  readonly vbd?: string | undefined;
  readonly json?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  /** All that stands on the command line beside the options, the vbd included. */
  readonly operands?: readonly string[] | undefined;
  /** All options of the command line. */
  readonly options?: ParsedWords['options'] | undefined;
  /** The vbd may be another backend domain's. */
  readonly remote?: boolean | undefined;
  /** A toolstack waits for the answer, and looks for it in XenStore and in the logs. */
  readonly hotplug?: boolean | undefined;
  /** Reads the settings; it throws for those that make no sense. */
  readonly settings: () => Settings;
}

/** The one invocation of a hotplug script: everything from the environment. */
export const FROM_ENVIRONMENT: Invocation = {
  hotplug: true,
  settings: () => loadSettings(process.env),
};

/** What the actions work with. */
export interface StoreContext {
  readonly store: Xenstore;
  readonly settings: Settings;
  readonly signal: AbortSignal;
  readonly invocation: Invocation;
  /** Reports a step, with its time, to whoever asked for that. */
  readonly onStep: (step: string, detail: string) => void;
}

/** What actions on one vbd work with. */
export interface Context extends StoreContext {
  readonly vbd: VbdPath;
}

/** What questions are answered with. */
export interface QuestionContext extends StoreContext {
  /** Why XenStore cannot be asked; it seems empty then. */
  readonly unreachable?: string | undefined;
}

/** An action's result, for `--json` and for people. */
export interface Outcome {
  readonly text: string;
  readonly json: object;
  /** The text says nothing that the exit status does not: it is printed on demand only. */
  readonly quiet?: boolean;
  /** Exit status; 0 by default. */
  readonly status?: number;
}

/**
 * Runs one action on one vbd from connection to report, and returns the exit status: 0 when it was
 * done, another with one sentence on stderr when not. A toolstack gets 1, and the sentence in the logs too.
 */
export async function run(
  invocation: Invocation,
  action: (context: Context) => Promise<Outcome>,
): Promise<number> {
  let vbd: VbdPath | undefined;
  return await supervise(
    invocation,
    async (signal) => {
      const disk = parseGuestDisk(invocation.vbd);
      const named = disk ?? (await resolve(invocation));
      vbd = 'backend' in named ? named : undefined;
      const settings = await readSettings(invocation, vbd);
      await using context = await open(invocation, settings, signal);
      const found = await locate(context, named);
      vbd = found;
      return await action({ ...context, vbd: found });
    },
    { vbd: () => vbd },
  );
}

/** What a hotplug script never names is loaded when used. */
async function locate(context: StoreContext, named: VbdPath | GuestDisk): Promise<VbdPath> {
  const { store, settings, signal, invocation } = context;
  if (invocation.remote) {
    const { locateRemote } = await import('./backend-domain.js');
    const remote = await locateRemote(context, named);
    if (remote !== undefined) return remote;
  }
  if ('backend' in named) return named;
  const { findVbd } = await import('../vbd/find-vbd.js');
  return await findVbd(store, named, settings.sysfs, { signal });
}

/** The same for an action that is not about one vbd. */
export async function runOnStore(
  invocation: Invocation,
  action: (context: StoreContext) => Promise<Outcome>,
): Promise<number> {
  return await supervise(invocation, async (signal) => {
    await using context = await open(invocation, invocation.settings(), signal);
    return await action(context);
  });
}

/** The same for a question, of which the kernel can answer a part where there is no xenstored. */
export async function runQuestion(
  invocation: Invocation,
  action: (context: QuestionContext) => Promise<Outcome>,
): Promise<number> {
  const body = async (signal: AbortSignal): Promise<Outcome> => {
    await using context = await openLeniently(invocation, invocation.settings(), signal);
    return await action(context);
  };
  return await supervise(invocation, body, { toStatus: statusOfQuestion });
}

async function openLeniently(
  invocation: Invocation,
  settings: Settings,
  signal: AbortSignal,
): Promise<QuestionContext & AsyncDisposable> {
  try {
    return { ...(await open(invocation, settings, signal)), unreachable: undefined };
  } catch (error) {
    if (!(error instanceof XenstoreError)) throw error;
    const { AbsentXenstore } = await import('../xenstore/absent-xenstore.js');
    const store = new AbsentXenstore(error);
    const unreachable = withRemedy(error);
    const onStep = (): void => undefined;
    const close = (): Promise<void> => store.close();
    return {
      store,
      settings,
      signal,
      invocation,
      onStep,
      unreachable,
      [Symbol.asyncDispose]: close,
    };
  }
}

async function supervise(
  invocation: Invocation,
  body: (signal: AbortSignal) => Promise<Outcome>,
  options: {
    readonly vbd?: () => VbdPath | undefined;
    readonly toStatus?: (error: unknown) => number;
  } = {},
): Promise<number> {
  const interrupted = new AbortController();
  const interrupt = (signal: NodeJS.Signals): void =>
    interrupted.abort(new HotplugError(`interrupted by ${signal}`, { code: 'ECANCELED' }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  try {
    const outcome = await body(interrupted.signal);
    report(invocation, outcome);
    return outcome.status ?? 0;
  } catch (error) {
    const line = printFailure(invocation, error, options.vbd?.());
    if (!invocation.hotplug) return (options.toStatus ?? statusOf)(error);
    await logFailure(logFile(invocation), line);
    return 1;
  }
}

async function open(
  invocation: Invocation,
  settings: Settings,
  signal: AbortSignal,
): Promise<StoreContext & AsyncDisposable> {
  const requestTimeoutMs = Math.ceil(settings.timeoutMs / 3);
  const store = await connect({ requestTimeoutMs, signal });
  const isLogged = invocation.hotplug === true && settings.verbose;
  const steps = new Steps(isLogged || invocation.verbose === true);
  const close = async (): Promise<void> => {
    await store.close();
    if (isLogged) await steps.log(settings.log);
  };
  const { onStep } = steps;
  return { store, settings, signal, invocation, onStep, [Symbol.asyncDispose]: close };
}

/** A disk that is none of ours is refused where its toolstack looks, too. */
async function resolve(invocation: Invocation): Promise<VbdPath> {
  try {
    return resolveVbd(invocation.vbd, process.env);
  } catch (error) {
    const disk = invocation.hotplug ? otherDisk(process.env) : undefined;
    if (disk !== undefined) await tellToolstack(disk, error);
    throw error;
  }
}

/** The toolstack sees only XenStore, and is to know of a bad setting too. */
async function readSettings(invocation: Invocation, vbd: VbdPath | undefined): Promise<Settings> {
  try {
    return invocation.settings();
  } catch (error) {
    if (invocation.hotplug && vbd !== undefined) await tellToolstack(vbd, error);
    throw error;
  }
}

/** Where failures are logged, also when it is another setting that cannot be read. */
function logFile(invocation: Invocation): string {
  try {
    return invocation.settings().log;
  } catch {
    return process.env[SETTINGS.log.env] || SETTINGS.log.fallback;
  }
}

function report(invocation: Invocation, outcome: Outcome): void {
  if (invocation.json) printJson(outcome.json);
  else if (!outcome.quiet || invocation.verbose) print(`${outcome.text}\n`);
}
