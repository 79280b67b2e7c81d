import { DaemonError } from '../daemon/daemon-error.js';
import { followEvents } from '../daemon/follow-events.js';
import type { EventsStart } from '../daemon/protocol.js';
import { errorMessage } from '../errors.js';
import { toOneLine } from '../util/one-line.js';
import { pause } from '../util/retry.js';
import { parseDomid } from './domid.js';
import { statusOf } from './exit-status.js';
import { complain, print } from './output.js';
import type { ParsedWords } from './parse-words.js';
import { printFailure, printJsonText } from './result.js';
import { loadDaemonSettings, loadSettings } from './setting-sources.js';
import { UsageError } from './usage-error.js';

/** The pauses between two attempts to reach the daemon again; milliseconds. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [50, 2000];

/**
 * Runs `events`: prints a line for the condition of each vbd, and then a line for each step that
 * the daemon reports. Returns the exit status: 0 after an interrupt, and another one if no daemon
 * answers or the daemon ends.
 */
export async function runEvents({ options }: Pick<ParsedWords, 'options'>): Promise<number> {
  const backendDomid = parseDomid('backend-domain', options['backend-domain']);
  if (options.all !== undefined && backendDomid !== undefined) {
    throw new UsageError('--all and --backend-domain exclude each other: give one of them');
  }
  const enough = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => enough.abort());
  }
  // The reader, for example head, has closed the pipe because it has seen enough. Of any other error
  // the end of the process tells (`endProcess`).
  process.stdout.on('error', () => enough.abort());
  const { signal } = enough;
  try {
    const sources: Promise<void>[] = [];
    if (backendDomid === undefined) sources.push(followDaemon(options, signal));
    if (options.all !== undefined || backendDomid !== undefined) {
      sources.push(followOthers(options, backendDomid, signal));
    }
    await Promise.all(sources);
    return 0;
  } catch (error) {
    if (signal.aborted) return 0;
    enough.abort();
    printFailure({ json: options.json !== undefined }, error);
    return statusOf(error);
  }
}

type Options = ParsedWords['options'];

/**
 * Prints the events of the daemon. With --reconnect, goes on when the daemon is back, with the
 * missed events or with a new snapshot.
 */
async function followDaemon(options: Options, signal: AbortSignal): Promise<void> {
  const { socket } = loadDaemonSettings(process.env, options);
  let after: EventsStart['after'];
  let bound = FIRST_PAUSE_MS;
  const onFollowing = (): void => {
    bound = FIRST_PAUSE_MS;
    sayFollowing(options, socket);
  };
  while (!signal.aborted) {
    try {
      for await (const json of followEvents(socket, { signal, onFollowing, after })) {
        printEvent(options, json);
        after = placeOf(json) ?? after;
      }
      return;
    } catch (error) {
      const mayReturn = error instanceof DaemonError && error.code !== 'EPROTOCOL';
      if (options.reconnect === undefined || !mayReturn) throw error;
      if (bound === FIRST_PAUSE_MS)
        complain(`xen-blkback: ${errorMessage(error)}; connecting again\n`);
      await pause(bound / 2 + (Math.random() * bound) / 2, signal).catch(() => undefined);
      bound = Math.min(bound * 2, LONGEST_PAUSE_MS);
    }
  }
}

/**
 * Returns the event after which a new connection goes on. Returns `undefined` within a snapshot,
 * because an incomplete snapshot must be repeated.
 */
function placeOf(json: string): EventsStart['after'] {
  const { action, step, run, seq } = JSON.parse(json) as Record<string, unknown>;
  if (action === 'snapshot' && step !== 'complete') return undefined;
  return { run: String(run), seq: Number(seq) };
}

/** Prints the events of other backend domains, which are known only by their XenStore nodes. */
async function followOthers(
  options: Options,
  backendDomid: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { openXenstore } = await import('../xenstore/open.js');
  const { followDomains } = await import('../daemon/follow-domains.js');
  const { timeoutMs } = loadSettings(process.env, {});
  await using store = await openXenstore({ signal, requestTimeoutMs: timeoutMs });
  const onFollowing = (): void => sayFollowing(options, 'XenStore');
  const onEvent = (json: string): void => printEvent(options, json);
  await followDomains(store, { backendDomid, onEvent, onFollowing, signal });
}

function sayFollowing({ verbose }: Options, what: string): void {
  if (verbose !== undefined) process.stderr.write(`xen-blkback: following ${what}\n`);
}

function printEvent({ json: asJson }: Options, json: string): void {
  const line = asJson === undefined ? describe(json) : undefined;
  if (line !== undefined) print(`${line}\n`);
  if (asJson !== undefined) printJsonText(json);
}

/**
 * Returns a line for people, or `undefined` for the end of a snapshot, which people do not need:
 * `2026-11-21T07:16:39.123Z  7/51712    add     published  7:0`
 */
function describe(json: string): string | undefined {
  const event = JSON.parse(json) as Record<string, unknown>;
  const { time, domid, devid, action, step, detail } = event;
  if (devid === null) return undefined;
  const where = event['backend-domid'] === null ? '' : `${event['backend-domid']}:`;
  const columns: [unknown, number][] = [
    [time, 24],
    [`${where}${domid}/${devid}`, 9],
    [action === 'snapshot' ? 'is' : action, 6],
    [step, 9],
    [detail, 0],
  ];
  return columns.map(([cell, width]) => toOneLine(String(cell)).padEnd(width)).join('  ');
}
