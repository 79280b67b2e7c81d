import type { Statistics } from './statistics.js';

/** What a daemon is told about itself when somebody asks. */
export interface DaemonState {
  readonly version: string;
  readonly pid: number;
  /** Whether it has a connection to xenstored that serves. */
  readonly connected: boolean;
  /** Vbds that blkback has open; `undefined` where sysfs does not tell. */
  readonly openVbds: number | undefined;
  /** Readers of events. */
  readonly readers: number;
  /** What does not answer, each with the seconds that it has not. */
  readonly hung: readonly { readonly what: string; readonly seconds: number }[];
}

/** The object that `status` answers with, docs/control-socket.md. Pure. */
export function describeStatus(state: DaemonState, statistics: Statistics): object {
  const { lastFailure, durations, failures } = statistics;
  let failed = 0;
  for (const count of failures.values()) failed += count;
  return {
    version: 1,
    daemon: state.version,
    pid: state.pid,
    since: statistics.since.toISOString(),
    connected: state.connected,
    connections: statistics.connections,
    attached: durations.add.count,
    removed: durations.remove.count,
    failed,
    warnings: statistics.warnings,
    running: statistics.running,
    'open-vbds': state.openVbds ?? null,
    readers: state.readers,
    hung: state.hung,
    'last-failure':
      lastFailure === undefined ? null : { ...lastFailure, time: lastFailure.time.toISOString() },
  };
}
