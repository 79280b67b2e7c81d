import type { Effort } from './effort.js';
import { median } from './fixture.js';
import type { Among, Burst, Rest, Times } from './measure.js';
import { drawBars, formatTime } from './plot.js';

/** All measurements of one run. */
export interface Results {
  readonly rounds: number;
  readonly single: { readonly script: Times; readonly opened: Times };
  readonly bursts: readonly Burst[];
  readonly among: readonly Among[];
  readonly effort: Effort;
  readonly command: Times;
  readonly atStart: number;
  readonly rest: Rest;
  readonly load: string;
}

const NAMES: Readonly<Record<string, string>> = {
  bare: 'bare C client and server',
  daemon: 'client and daemon',
  node: 'node -e 0',
  'one-shot': 'one-shot program',
  block: "Xen's block",
  peer: 'the peer',
  version: 'xen-blkback --version',
  list: 'xen-blkback list, 200 vbds',
};

/** Returns all tables as Markdown. */
export function toMarkdown(results: Results): string {
  return [
    singleTable(results),
    burstTable(results),
    amongTable(results),
    commandTable(results),
    effortLine(results.effort),
    `The daemon had ${results.atStart.toFixed(0)} MiB of resident memory at the start and ${results.rest.residentMiB.toFixed(0)} MiB with ${results.rest.attached} vbds attached; at rest its threads were woken ${results.rest.wakeUps} times in ${results.rest.seconds} s.`,
    `Load averages before and after: ${results.load}.`,
  ].join('\n\n');
}

/** Returns the table of attaching one disk after another. */
export function singleTable({ single, rounds }: Pick<Results, 'single' | 'rounds'>): string {
  const block = median(single.script.get('block') ?? []);
  const peer = single.script.get('peer');
  const rows = [...single.script.keys()].map((name) => {
    const times = single.script.get(name) ?? [];
    const opened = single.opened.get(name);
    return [
      NAMES[name],
      formatTime(Math.min(...times)),
      formatTime(median(times)),
      formatTime(Math.max(...times)),
      ratio(median(times), block),
      ...(peer === undefined ? [] : [quotient(median(times), median(peer))]),
      opened === undefined ? '' : formatTime(median(opened)),
    ];
  });
  const head = [
    `one file, ${rounds} rounds`,
    'min',
    'median',
    'max',
    'to `block`',
    ...(peer === undefined ? [] : ['to the peer']),
    'nodes to opened',
  ];
  return table(head, rows);
}

function burstTable({ bursts }: Results): string {
  const hasPeer = bursts.some(({ handler }) => handler === 'peer');
  const rows = bursts.map(({ handler, count, scripts, whole, failed }) => {
    const same = bursts.filter((other) => other.count === count);
    const block = same.find((other) => other.handler === 'block');
    const peer = same.find((other) => other.handler === 'peer');
    return [
      `${count} at once, ${NAMES[handler]}${failed > 0 ? ` (${failed} failed)` : ''}`,
      formatTime(scripts),
      formatTime(whole),
      block === undefined ? '' : ratio(scripts, block.scripts),
      ...(hasPeer ? [peer === undefined ? '' : quotient(scripts, peer.scripts)] : []),
    ];
  });
  const head = ['', 'first exec to last exit', 'with the writing of the nodes', 'to `block`'];
  return table(hasPeer ? [...head, 'to the peer'] : head, rows);
}

function amongTable({ among }: Results): string {
  const rows = among.map(({ handler, attached, milliseconds, rounds }) => {
    const none = among.find((other) => other.handler === handler && other.attached === 0);
    return [
      `${attached} attached, ${NAMES[handler]}`,
      formatTime(milliseconds),
      String(rounds),
      none === undefined ? '' : (milliseconds / none.milliseconds).toFixed(2),
    ];
  });
  return table(['one more', 'median', 'rounds', 'to none attached'], rows);
}

function commandTable({ command }: Results): string {
  const node = median(command.get('node') ?? []);
  const rows = [...command].map(([name, times]) => [
    NAMES[name],
    formatTime(median(times)),
    quotient(median(times), node),
  ]);
  return table(['the command', 'median', 'to `node -e 0`'], rows);
}

function effortLine({ vbds, daemon, xenstored, trips }: Effort): string {
  return `Attaching and detaching a vbd took ${daemon.toFixed(1)} ms of processor time in the daemon, all threads together, and ${xenstored.toFixed(1)} ms in xenstored (${vbds} vbds). An attach that was not prepared waits for xenstored ${trips} times.`;
}

function quotient(time: number, reference: number): string {
  return (time / reference).toFixed(2);
}

/** Formats the ratio of two times, such as `1/21` if `time` is shorter. */
function ratio(time: number, reference: number): string {
  if (time === reference) return '1';
  return time < reference ? `1/${(reference / time).toFixed(0)}` : (time / reference).toFixed(1);
}

function table(
  head: readonly string[],
  rows: readonly (readonly (string | undefined)[])[],
): string {
  const line = (cells: readonly (string | undefined)[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Returns the results as a plot in SVG. */
export function toPlot({ single, bursts, among }: Results): string {
  const kind = (name: string) => (['daemon', 'one-shot'].includes(name) ? 'ours' : 'other');
  return drawBars('Attaching a file (logarithmic scale; lower is better)', [
    {
      title: 'One disk, script from exec to exit',
      bars: [...single.script.keys()].map((name) => ({
        label: NAMES[name] ?? name,
        milliseconds: median(single.script.get(name) ?? []),
        kind: kind(name),
      })),
    },
    {
      title: 'Many disks at once, first exec to last exit',
      bars: bursts.map(({ handler, count, scripts }) => ({
        label: `${count}, ${NAMES[handler]}`,
        milliseconds: scripts,
        kind: kind(handler),
      })),
    },
    {
      title: 'One more disk where so many are attached',
      bars: among.map(({ handler, attached, milliseconds }) => ({
        label: `${attached}, ${NAMES[handler]}`,
        milliseconds,
        kind: kind(handler),
      })),
    },
  ]);
}
