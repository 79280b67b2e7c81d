import type { Statistics } from './statistics.js';

/** The present condition of a daemon, from which it answers questions about itself. */
export interface DaemonState {
  readonly version: string;
  readonly pid: number;
  /** Whether the daemon has a connection to xenstored and serves over it. */
  readonly connected: boolean;
  /** The number of vbds that blkback has open. `undefined` if sysfs does not tell. */
  readonly openVbds: number | undefined;
  /** The number of readers of events. */
  readonly readers: number;
  /** The file systems and devices that do not answer, and for how many seconds. */
  readonly hung: readonly { readonly what: string; readonly seconds: number }[];
}

/** Returns the object with which `status` answers (docs/control-socket.md). Pure. */
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
