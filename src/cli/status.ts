import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { askDaemon } from '../daemon/ask-daemon.js';
import { DaemonError } from '../daemon/daemon-error.js';
import { METRICS_END } from '../daemon/metrics.js';
import { toPrometheusText } from '../daemon/prometheus-text.js';
import { SystemError } from '../linux/errno.js';
import { quote } from '../util/one-line.js';
import { ExitStatus, statusOf } from './exit-status.js';
import { print } from './output.js';
import type { ParsedWords } from './parse-words.js';
import { printFailure, printJsonText } from './result.js';
import { loadDaemonSettings } from './setting-sources.js';
import { UsageError } from './usage-error.js';
import { alignColumns } from './vbd-text.js';
import { readVersion } from './version.js';

/** The facts that the daemon reports about itself. `describeStatus` creates them. */
export interface DaemonStatus {
  readonly daemon: string;
  readonly pid: number;
  readonly since: string;
  readonly connected: boolean;
  readonly connections: number;
  readonly attached: number;
  readonly removed: number;
  readonly failed: number;
  readonly warnings: number;
  readonly running: number;
  readonly 'open-vbds': number | null;
  readonly readers: number;
  readonly hung: readonly { readonly what: string; readonly seconds: number }[];
  readonly 'last-failure': Readonly<
    Record<'time' | 'backend' | 'action' | 'detail', string>
  > | null;
}

/** Asks the daemon at the control socket for its status. Throws `DaemonError`. */
export async function readDaemonStatus(socket: string): Promise<DaemonStatus> {
  return JSON.parse(await askDaemon(socket, 'status')) as DaemonStatus;
}

/**
 * Runs `status`: prints what the daemon is doing. Returns the exit status, which is 1 if the daemon
 * runs but has no connection to xenstored.
 */
export async function runStatus(options: ParsedWords['options']): Promise<number> {
  const invocation = { json: options.json !== undefined };
  const { socket } = loadDaemonSettings(process.env, options);
  try {
    const status = await readDaemonStatus(socket);
    if (invocation.json) printJsonText(JSON.stringify(status));
    else print(`${describe(status, socket)}\n`);
    return status.connected ? ExitStatus.done : ExitStatus.failed;
  } catch (error) {
    printFailure(invocation, error);
    return statusOf(error);
  }
}

function describe(status: DaemonStatus, socket: string): string {
  const installed = readVersion();
  const other = status.daemon === installed ? '' : ` (installed: ${installed}; restart it)`;
  const failure = status['last-failure'];
  const rows = [
    ['daemon', `runs at ${socket}, process ${status.pid}`],
    ['version', `${status.daemon}${other}`],
    ['since', status.since],
    ['xenstored', status.connected ? 'answers' : 'does not answer'],
    ['connections', String(status.connections)],
    ['attached', String(status.attached)],
    ['removed', String(status.removed)],
    ['failed', String(status.failed)],
    ['under way', String(status.running)],
    ['open vbds', String(status['open-vbds'] ?? 'unknown')],
    ['event readers', String(status.readers)],
    ...status.hung.map(({ what, seconds }) => ['does not answer', `${what}, for ${seconds} s`]),
    [
      'last failure',
      failure === null
        ? '-'
        : `${failure.time} ${failure.backend}: ${failure.action} failed: ${failure.detail}`,
    ],
  ];
  return alignColumns(rows);
}

/**
 * Runs `metrics`: prints the metrics of the daemon as OpenMetrics text. With a file, writes them in
 * the format that node-exporter reads. Returns the exit status.
 */
export async function runMetrics(options: ParsedWords['options']): Promise<number> {
  const { socket } = loadDaemonSettings(process.env, options);
  try {
    const text = await askDaemon(socket, 'metrics');
    if (!text.endsWith(METRICS_END)) {
      throw new DaemonError(`the daemon at ${socket} has ended in the middle`, { code: 'EENDED' });
    }
    if (options.output === undefined) print(text);
    else writeWhole(options.output, toPrometheusText(text));
    return ExitStatus.done;
  } catch (error) {
    printFailure({}, error);
    return statusOf(error);
  }
}

/**
 * Replaces a file at once, so that a reader never sees a part of it. Throws `SystemError`, and
 * `UsageError` for anything but a file: root could replace a device node.
 */
function writeWhole(file: string, text: string): void {
  if (statSync(file, { throwIfNoEntry: false })?.isFile() === false) {
    throw new UsageError(`output ${quote(file)}: it is there, and is no regular file`);
  }
  const fresh = `${file}.${process.pid}.new`;
  try {
    writeFileSync(fresh, text, { mode: 0o644 });
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw SystemError.fromNode('write', file, error);
  }
}
