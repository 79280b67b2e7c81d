import type { DaemonState } from './daemon-status.js';
import { BUCKETS, type Durations, type Statistics } from './statistics.js';

/** The last line of an OpenMetrics text. */
export const METRICS_END = '# EOF\n';

/** Returns the metrics of a daemon as OpenMetrics 1.0 text. Pure. */
export function formatMetrics(state: DaemonState, statistics: Statistics): string {
  const { failures, warnings, connections, durations, since, running } = statistics;
  const failed = [...failures].map(([key, count]): Sample => {
    const [action = '', code = ''] = key.split(' ');
    return [`_total{action="${action}",code="${code}"}`, count];
  });
  const families = [
    family('build', 'info', 'What runs.', [[`_info{version="${escapeLabel(state.version)}"}`, 1]]),
    family('start_time_seconds', 'gauge', 'When the daemon was started.', [
      ['', since.getTime() / 1000],
    ]),
    family('xenstore_connected', 'gauge', 'Whether xenstored answers.', [
      ['', state.connected ? 1 : 0],
    ]),
    family('xenstore_connections', 'counter', 'Connections to xenstored that have served.', [
      ['_total', connections],
    ]),
    family('attach_seconds', 'histogram', 'How long attaches took.', histogram(durations.add)),
    family('detach_seconds', 'histogram', 'How long detaches took.', histogram(durations.remove)),
    family('failures', 'counter', 'Attaches and detaches that have failed.', failed),
    family('warnings', 'counter', 'Warnings about disks.', [['_total', warnings]]),
    family('jobs_running', 'gauge', 'Attaches and detaches under way.', [['', running]]),
    family('event_readers', 'gauge', 'Readers of events.', [['', state.readers]]),
    family('hung', 'gauge', 'File systems and devices that do not answer.', [
      ['', state.hung.length],
    ]),
    state.openVbds === undefined
      ? ''
      : family('open_vbds', 'gauge', 'Vbds that blkback has open.', [['', state.openVbds]]),
  ];
  return families.join('') + METRICS_END;
}

/** The text after the name of a metric family (suffix and labels), and the value. */
type Sample = readonly [suffix: string, value: number];

function family(name: string, type: string, help: string, samples: readonly Sample[]): string {
  const whole = `xen_blkback_${name}`;
  const unit = name.endsWith('_seconds') ? `# UNIT ${whole} seconds\n` : '';
  const lines = samples.map(([suffix, value]) => `${whole}${suffix} ${value}\n`);
  return `# TYPE ${whole} ${type}\n${unit}# HELP ${whole} ${help}\n${lines.join('')}`;
}

function histogram({ buckets, count, sum }: Durations): Sample[] {
  return [
    ...BUCKETS.map(
      (bound, index): Sample => [
        `_bucket{le="${Number.isInteger(bound) ? `${bound}.0` : bound}"}`,
        buckets[index] ?? 0,
      ],
    ),
    ['_bucket{le="+Inf"}', count],
    ['_count', count],
    ['_sum', sum],
  ];
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
}
