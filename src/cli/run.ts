import { HotplugError } from '../hotplug/hotplug-error.js';
import { toLines } from '../util/one-line.js';
import type { GuestDisk } from '../vbd/find-vbd.js';
import type { VbdPath } from '../vbd/vbd-path.js';
import { XenstoreError } from '../xenstore/xenstore-error.js';
import { connect, tellToolstack } from './connect.js';
import { statusOf, statusOfQuestion } from './exit-status.js';
import type { Context, Invocation, Outcome, QuestionContext, StoreContext } from './invocation.js';
import { logFailure } from './log.js';
import { print } from './output.js';
import { printFailure, printJson, withRemedy } from './result.js';
import { SETTINGS, type Settings } from './settings.js';
import { Steps } from './steps.js';
import { otherDisk, parseGuestDisk, resolveVbd } from './vbd-argument.js';

/**
 * Runs one action on one vbd, and returns the exit status: 0 if the action succeeds. A failure
 * prints one sentence on stderr. For a toolstack, it returns 1 and logs the sentence, too.
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

/** Finds the vbd. Loads the modules for names that a hotplug script never uses only when needed. */
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

/** Runs an action that is not about one vbd, and returns the exit status like `run`. */
export async function runOnStore(
  invocation: Invocation,
  action: (context: StoreContext) => Promise<Outcome>,
): Promise<number> {
  return await supervise(invocation, async (signal) => {
    await using context = await open(invocation, invocation.settings(), signal);
    return await action(context);
  });
}

/**
 * Runs an action that answers a question, like `runOnStore`. If xenstored cannot be reached, the
 * kernel still answers a part of the question.
 */
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

/** Finds the vbd that is named. Also tells the toolstack if it asks for a disk that is no vbd. */
async function resolve(invocation: Invocation): Promise<VbdPath> {
  try {
    return resolveVbd(invocation.vbd, process.env);
  } catch (error) {
    const disk = invocation.hotplug ? otherDisk(process.env) : undefined;
    if (disk !== undefined) await tellToolstack(disk, error);
    throw error;
  }
}

/**
 * Reads the settings. Reports a bad setting to the toolstack in XenStore, the only place it sees.
 */
async function readSettings(invocation: Invocation, vbd: VbdPath | undefined): Promise<Settings> {
  try {
    return invocation.settings();
  } catch (error) {
    if (invocation.hotplug && vbd !== undefined) await tellToolstack(vbd, error);
    throw error;
  }
}

/** Returns the file for failures, even if another setting is invalid. */
function logFile(invocation: Invocation): string {
  try {
    return invocation.settings().log;
  } catch {
    const given = process.env[SETTINGS.log.env];
    return given?.startsWith('/') ? given : SETTINGS.log.fallback;
  }
}

function report(invocation: Invocation, outcome: Outcome): void {
  if (invocation.json) printJson(outcome.json);
  else if (!outcome.quiet || invocation.verbose) print(`${toLines(outcome.text)}\n`);
}
