import { BlkbackError, errorMessage } from '../errors.js';
import { HotplugError, toOneLine } from '../hotplug/hotplug-error.js';
import type { VbdPath } from '../xenstore/vbd-path.js';
import type { Xenstore } from '../xenstore/xenstore.js';
import { logFailure } from './log.js';
import { type Settings, settingsFromEnvironment } from './settings.js';
import { resolveVbd } from './vbd-argument.js';

/** What a command is called with. */
export interface Invocation {
  /** The backend path given on the command line, if one was. */
  readonly vbd?: string | undefined;
  readonly json?: boolean | undefined;
  readonly verbose?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  /** Reads the settings; it throws for those that make no sense. */
  readonly settings: () => Settings;
}

/** The one invocation of a hotplug script: everything from the environment. */
export const FROM_ENVIRONMENT: Invocation = {
  settings: () => settingsFromEnvironment(process.env),
};

/** What the actions work with. */
export interface Context {
  readonly store: Xenstore;
  readonly vbd: VbdPath;
  readonly settings: Settings;
  readonly signal: AbortSignal;
  readonly invocation: Invocation;
  /** Reports a step, with its time, to whoever asked for that. */
  readonly onStep: (step: string, detail: string) => void;
}

/** An action's result, for `--json`; with a sentence for people. */
export interface Outcome {
  readonly text: string;
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * Runs one action on one vbd from connection to report, and returns the exit status: 0 when it was
 * done, 1 with one sentence on stderr and in the logs when not.
 */
export async function run(
  invocation: Invocation,
  action: (context: Context) => Promise<Outcome>,
): Promise<number> {
  const interrupted = new AbortController();
  const interrupt = (signal: NodeJS.Signals): void =>
    interrupted.abort(new HotplugError(`interrupted by ${signal}`, { code: 'ECANCELED' }));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  let log: string | undefined;
  let vbd: VbdPath | undefined;
  try {
    const settings = invocation.settings();
    log = settings.log;
    vbd = resolveVbd(invocation.vbd, process.env);
    const { openXenstore } = await import('../xenstore/native.js');
    const requestTimeoutMs = Math.ceil(settings.timeoutMs / 3);
    const { signal } = interrupted;
    await using store = await openXenstore({ requestTimeoutMs, signal });
    const onStep = stepPrinter(invocation.verbose ?? false);
    report(invocation, await action({ store, vbd, settings, signal, invocation, onStep }));
    return 0;
  } catch (error) {
    if (invocation.json) printJson({ error: describeError(error) });
    await logFailure(log ?? '/var/log/xen/xen-hotplug.log', describeFailure(vbd, error));
    return 1;
  }
}

function stepPrinter(verbose: boolean): Context['onStep'] {
  if (!verbose) return () => undefined;
  return (step, detail) => {
    // Since the process started, so that loading the program counts as well.
    const ms = performance.now().toFixed(1).padStart(8);
    process.stderr.write(`${ms} ms  ${step.padEnd(10)} ${detail}\n`);
  };
}

function report(invocation: Invocation, outcome: Outcome): void {
  if (invocation.json) printJson(outcome.json);
  else if (invocation.verbose || invocation.dryRun) process.stdout.write(`${outcome.text}\n`);
}

function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function describeFailure(vbd: VbdPath | undefined, error: unknown): string {
  const message = toOneLine(errorMessage(error));
  // Several scripts run at once and share the log: say which vbd, unless the sentence does.
  return vbd === undefined || message.includes(vbd.backend)
    ? message
    : `${vbd.backend}: ${message}`;
}

function describeError(error: unknown): Record<string, unknown> {
  const message = errorMessage(error);
  if (!(error instanceof BlkbackError)) return { code: 'EINTERNAL', message };
  return { code: error.code, message, errno: error.errno, syscall: error.syscall };
}
