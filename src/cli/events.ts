import { followEvents } from '../daemon/follow-events.js';
import { toOneLine } from '../util/one-line.js';
import { statusOf } from './exit-status.js';
import { printFailure } from './result.js';

export interface EventsOptions {
  readonly socket: string;
  readonly json?: boolean | undefined;
  readonly verbose?: boolean | undefined;
}

/**
 * `events`: prints a line for each step of each vbd as the daemon tells of it. Interrupted it ends with
 * status 0; with another when there is no daemon, or none any more.
 */
export async function runEvents(options: EventsOptions): Promise<number> {
  const enough = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => enough.abort());
  }
  // Who reads this, head for one, has seen enough.
  process.stdout.on('error', () => enough.abort());
  const onFollowing = (): void => {
    if (options.verbose) process.stderr.write(`xen-blkback: following ${options.socket}\n`);
  };
  try {
    const events = followEvents(options.socket, { signal: enough.signal, onFollowing });
    for await (const json of events) {
      process.stdout.write(`${options.json ? json : describe(json)}\n`);
    }
    return 0;
  } catch (error) {
    printFailure(options, error);
    return statusOf(error);
  }
}

/** `2026-11-21T07:16:39.123Z  7/51712    add     published  7:0` */
function describe(json: string): string {
  const { time, domid, devid, action, step, detail } = JSON.parse(json) as Record<string, unknown>;
  const columns: [unknown, number][] = [
    [time, 24],
    [`${domid}/${devid}`, 9],
    [action, 6],
    [step, 9],
    [detail, 0],
  ];
  return columns.map(([cell, width]) => toOneLine(String(cell)).padEnd(width)).join('  ');
}
