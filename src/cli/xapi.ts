import { HotplugError } from '../hotplug/hotplug-error.js';
import { withXapiReport, writePrefixedStatus } from '../hotplug/xapi.js';
import { syslog } from '../linux/syslog.js';
import { quote, toOneLine } from '../util/one-line.js';
import { add } from './add.js';
import type { Context, Outcome } from './invocation.js';
import { logFailure } from './log.js';
import { complain } from './output.js';
import { remove } from './remove.js';

/** The priority of syslog.h. */
const LOG_INFO = 6;

/** Runs `add` of a hotplug script, for every toolstack. */
export async function addForToolstack(context: Context): Promise<Outcome> {
  if (prefix() !== undefined) return await writeStatus(context, true);
  const { store, vbd, signal, settings } = context;
  const warnings: string[] = [];
  const { timeoutMs } = settings;
  const onUntold = (sentence: string): number => warnings.push(toOneLine(sentence));
  const options = { signal, timeoutMs, onUntold };
  const outcome = await withXapiReport(store, vbd, true, options, () => add(context));
  for (const warning of warnings) {
    complain(`xen-blkback: ${warning}\n`);
    await logFailure(settings.log, warning);
  }
  return outcome;
}

/** Runs `remove` of a hotplug script, for every toolstack. */
export async function removeForToolstack(context: Context): Promise<Outcome> {
  if (prefix() !== undefined) return await writeStatus(context, false);
  const { store, vbd, signal, settings } = context;
  const options = { signal, timeoutMs: settings.timeoutMs, onUntold: () => undefined };
  return await withXapiReport(store, vbd, false, options, () => remove(context));
}

/** Runs `change`, which only xapi calls, by logging it. */
export function logChange(): void {
  syslog(LOG_INFO, `${toOneLine(process.env.XENBUS_PATH ?? 'no XENBUS_PATH')}: change`);
}

function prefix(): string | undefined {
  const text = process.env.XENBUS_PREFIX;
  if (!text) return undefined;
  if (/^\/[\w@:/-]*$/.test(text)) return text.endsWith('/') ? text : `${text}/`;
  throw new HotplugError(`XENBUS_PREFIX is ${quote(text)}: the absolute path of a node is needed`, {
    code: 'EVBD',
  });
}

async function writeStatus({ store, vbd, signal }: Context, isAttached: boolean): Promise<Outcome> {
  await writePrefixedStatus(store, { vbd, prefix: prefix() ?? '/' }, isAttached, { signal });
  const text = `${vbd.backend}: only hotplug-status is written, below XENBUS_PREFIX`;
  return { text, quiet: true, json: { backend: vbd.backend, prefixed: true } };
}
